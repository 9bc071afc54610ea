//! Rules tried on history: on what the store holds, or on a file. Decisions are looked at with the feature values that they were
//! made on, so nothing is replayed and no feature knows more than it did.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use anyhow::Result;
use engine::decide::Rule;
use engine::event::Label;
use engine::expression::Context;
use engine::rulebook::{Flaw, ListKind, Stage, WrittenRule};
use engine::{Decisions, Detector, EventBatch, Outcome, Rulebook, Status};
use lab::backtest::{Asked, Backtest, Candidate, Report, Seen};
use lab::dataset::{Block, EventReader, Reject};
use lab::replay::Sink;
use serde::Serialize;
use store::{Store, StoredDecision};

/// Decisions that are read at a time.
const PAGE: usize = 5_000;

/// Candidates beside the rulebook that holds, and what history says of them so far.
pub struct Trial {
    /// The detector with the candidates as its only rules.
    detector: Arc<Detector>,
    /// What rules and lists that hold ask for, by the name that decisions list them by.
    asks: HashMap<String, Outcome>,
    backtest: Backtest,
    left_out: BTreeMap<&'static str, u64>,
    fires: Vec<bool>,
    fired: Vec<usize>,
}

/// What history says, and what of it was not looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// The figures.
    #[serde(flatten)]
    pub report: Report,
    /// Decisions that were left out, by why.
    pub left_out: BTreeMap<&'static str, u64>,
}

/// Which decisions of a store are looked at.
pub struct Period<'a> {
    /// Event times.
    pub range_us: Range<i64>,
    /// After this position of the log.
    pub after: i64,
    /// What happened before this and has no label counts as genuine; without it, it does not count.
    pub matured_before_us: Option<i64>,
    /// Whether what has this mark, or none, counts.
    pub is_real: &'a dyn Fn(Option<&str>) -> bool,
}

impl Trial {
    /// Candidates for a detector, as its file is, beside the rulebook that holds. They are tried as if they were live.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(
        detector: &Detector,
        book: &Rulebook,
        candidates: Vec<WrittenRule>,
    ) -> Result<Trial, Vec<Flaw>> {
        let asks =
            detector.with_rulebook(book)?.rules.iter().filter(|rule| !rule.shadow).map(asked_by).collect();
        let tried: Vec<Candidate> = candidates.iter().map(candidate).collect();
        let mut lists = book.lists.clone();
        lists.iter_mut().for_each(|list| list.kind = ListKind::Plain);
        let rules = candidates.into_iter().map(as_if_live).collect();
        let alone = detector.with_rulebook(&Rulebook { rules, lists, ..book.clone() })?;
        Ok(Trial {
            detector: Arc::new(alone),
            asks,
            fires: vec![false; tried.len()],
            backtest: Backtest::new(tried, book.policy),
            left_out: BTreeMap::new(),
            fired: Vec::new(),
        })
    }

    /// Looks at what a store holds. `progress` is told how many decisions were read, and says whether to go on.
    ///
    /// # Errors
    /// If the database refuses.
    pub fn look_at_store(
        &mut self,
        store: &mut dyn Store,
        period: &Period,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<()> {
        let mut batch = EventBatch::new(Arc::new(self.detector.schema.clone()));
        let reader = EventReader::without_labels(batch.schema());
        let (mut after, mut read) = (period.after, 0);
        loop {
            let page = store.history(after, &period.range_us, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.sequence;
            batch.clear();
            for decision in &page {
                self.look_at(decision, period, &reader, &mut batch);
            }
            read += page.len() as u64;
            if !progress(read) {
                return Ok(());
            }
        }
    }

    fn look_at(
        &mut self,
        stored: &StoredDecision,
        period: &Period,
        reader: &EventReader,
        batch: &mut EventBatch,
    ) {
        if let Some(why) = self.unfit(stored, period) {
            return *self.left_out.entry(why).or_default() += 1;
        }
        if reader.read(stored.event.as_bytes(), batch).is_err() {
            return *self.left_out.entry("unreadable").or_default() += 1;
        }
        let row = batch.len() - 1;
        let (score, features) = (stored.score.unwrap_or(f64::NAN), &*stored.features);
        let known = match (stored.label, stored.outcome) {
            (Some(label), _) => Some(label.fraud),
            // What was declined did not happen, so that nobody complains of it.
            (None, Outcome::Decline) => None,
            (None, _) => {
                period.matured_before_us.filter(|before| stored.event_time_us < *before).map(|_| false)
            }
        };
        let names = stored.rules.iter().map(String::as_str);
        self.count(&Context { batch, row, features, score }, stored.outcome, names, known);
    }

    fn unfit(&self, stored: &StoredDecision, period: &Period) -> Option<&'static str> {
        if !(period.is_real)(stored.mark.as_deref()) {
            return Some("synthetic");
        }
        let other = stored.versions.feature_fingerprint != self.detector.feature_fingerprint;
        other.then_some("decided with other features")
    }

    fn count<'a>(
        &mut self,
        cx: &Context,
        outcome: Outcome,
        names: impl Iterator<Item = &'a str>,
        fraud: Option<bool>,
    ) {
        let mut asked = Asked::default();
        self.fired.clear();
        for name in names {
            self.fired.push(self.backtest.number(name));
            asked.anything |= !name.starts_with('~');
            asked.decline |= self.asks.get(name) == Some(&Outcome::Decline);
            asked.approve |= self.asks.get(name) == Some(&Outcome::Approve);
        }
        for (fires, rule) in self.fires.iter_mut().zip(&self.detector.rules) {
            *fires = rule.when.evaluate(cx);
        }
        let (time_us, amount) = (cx.batch.time_us(cx.row), cx.batch.amount(cx.row));
        let seen = Seen { time_us, amount, outcome, fired: &self.fired, asked, fraud };
        self.backtest.add(&seen, &self.fires);
    }

    /// What was found.
    pub fn tell(&self) -> Told {
        Told { report: self.backtest.report(), left_out: self.left_out.clone() }
    }
}

/// A file's decisions as they would be today, with the labels of the file.
pub struct OfFile<'a> {
    /// What is tried.
    pub trial: &'a mut Trial,
    /// The detector that decides.
    pub decides: &'a Detector,
}

impl Sink for OfFile<'_> {
    fn decided(&mut self, block: &Block, decisions: &Decisions) -> Result<()> {
        let batch = &block.batch;
        for row in 0..decisions.len() {
            if decisions.statuses[row] == Status::TimeJump {
                // It comes back as a reject.
                continue;
            }
            let (features, score) = (decisions.features_of(row), decisions.scores[row]);
            let known = match batch.label(row) {
                Label::Unknown => None,
                Label::Genuine => Some(false),
                Label::Fraud => Some(true),
            };
            let name = |rule: &u16| self.decides.rules[usize::from(*rule)].name.as_str();
            let names = decisions.rules_of(row).iter().map(name);
            self.trial.count(&Context { batch, row, features, score }, decisions.outcomes[row], names, known);
        }
        Ok(())
    }

    fn rejected(&mut self, rejects: &[Reject]) -> Result<()> {
        *self.trial.left_out.entry("rejected").or_default() += rejects.len() as u64;
        Ok(())
    }
}

fn asked_by(rule: &Rule) -> (String, Outcome) {
    (rule.name.clone(), rule.outcome)
}

fn candidate(rule: &WrittenRule) -> Candidate {
    Candidate { name: rule.name.clone(), when: rule.when.clone(), outcome: rule.outcome }
}

fn as_if_live(rule: WrittenRule) -> WrittenRule {
    WrittenRule { stage: Stage::Live, share: None, share_by: None, from: None, expires: None, ..rule }
}
