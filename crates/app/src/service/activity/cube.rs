//! Counts by time, in minutes for two days and in hours for ever.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use engine::detector::Schema;
use engine::time::SECOND_US;
use store::{Brief, BriefEntry};

use super::cell::{Cell, Counts, SCORE_BINS, WEEK_HOURS};
use super::fields::{Field, Values, of_schema};

/// Counts by value that are kept, of each length of stretch: those of the oldest stretches go first.
const VALUES_MAX: usize = 400_000;

/// How long minutes are kept.
const MINUTES_US: i64 = 48 * 3_600 * SECOND_US;

/// Lengths of stretches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day, in UTC.
    Day,
}

impl Step {
    /// Its length in microseconds.
    pub fn us(self) -> i64 {
        match self {
            Step::Minute => 60 * SECOND_US,
            Step::Hour => 3_600 * SECOND_US,
            Step::Day => 86_400 * SECOND_US,
        }
    }
}

/// Stretches of one length, each with what is real and what is synthetic in it.
#[derive(Debug)]
pub struct Level {
    width_us: i64,
    cells: BTreeMap<i64, [Cell; 2]>,
    values: usize,
    /// Counts by value begin here.
    detailed_from_us: Option<i64>,
}

impl Level {
    fn new(width_us: i64) -> Level {
        Level { width_us, cells: BTreeMap::new(), values: 0, detailed_from_us: None }
    }

    fn decide(&mut self, decision: &Brief, fields: usize, values: &[Option<Arc<str>>]) {
        let at = decision.decided_at_us.div_euclid(self.width_us);
        let cells = self.cells.entry(at).or_insert_with(|| [Cell::new(fields), Cell::new(fields)]);
        self.values += cells[usize::from(decision.synthetic)].decide(decision, values);
        while self.values > VALUES_MAX && self.let_go_oldest() {}
    }

    fn learn(&mut self, decision: &Brief, values: &[Option<Arc<str>>], before: Option<bool>, fraud: bool) {
        let at = decision.decided_at_us.div_euclid(self.width_us);
        if let Some(cells) = self.cells.get_mut(&at) {
            cells[usize::from(decision.synthetic)].learn(decision, values, before, fraud);
        }
    }

    /// Lets go of the oldest stretch's counts by value; false if none but the newest has any.
    fn let_go_oldest(&mut self) -> bool {
        let newest = self.cells.last_key_value().map(|(at, _)| *at);
        let Some((at, cells)) = self.cells.iter_mut().find(|(_, cells)| cells[0].values.is_some()) else {
            return false;
        };
        if Some(*at) == newest {
            return false;
        }
        self.values -= cells.iter_mut().map(Cell::let_go).sum::<usize>();
        self.detailed_from_us = Some((at + 1) * self.width_us);
        true
    }

    /// Forgets what was before.
    fn forget_before(&mut self, us: i64) {
        while let Some(oldest) =
            self.cells.first_entry().filter(|oldest| (oldest.key() + 1) * self.width_us <= us)
        {
            self.values -= oldest.remove().iter_mut().map(Cell::let_go).sum::<usize>();
        }
    }
}

/// What happened, counted by time.
#[derive(Debug)]
pub struct Cube {
    /// When it was last asked for.
    pub asked: Option<Instant>,
    fields: Vec<Field>,
    values: Values,
    row: Vec<Option<Arc<str>>>,
    minutes: Level,
    hours: Level,
    as_of: i64,
    last: i64,
    first_us: Option<i64>,
    newest_us: i64,
}

/// What happened in a range.
#[derive(Debug)]
pub struct Slice {
    /// What was asked for, in whole steps.
    pub range_us: Range<i64>,
    /// All of it.
    pub total: Counts,
    /// Step by step, as far as anything happened.
    pub points: Vec<(i64, Counts)>,
    /// Decisions by score.
    pub scores: Vec<u64>,
    /// Decisions and alerts by hour of the week.
    pub week: Vec<(u64, u64)>,
    /// By value, field by field.
    pub values: Vec<(Field, HashMap<Arc<str>, Counts>)>,
    /// Counts by value begin here, if not at the beginning of the range.
    pub detailed_from_us: Option<i64>,
}

impl Cube {
    /// Nothing, of events of this schema.
    pub fn new(schema: &Schema) -> Cube {
        Cube {
            asked: None,
            fields: of_schema(schema),
            values: Values::default(),
            row: Vec::new(),
            minutes: Level::new(Step::Minute.us()),
            hours: Level::new(Step::Hour.us()),
            as_of: -1,
            last: -1,
            first_us: None,
            newest_us: i64::MIN,
        }
    }

    /// The last position that is counted.
    pub fn as_of(&self) -> i64 {
        self.as_of
    }

    /// The last position of the log, as far as is known.
    pub fn last(&self) -> i64 {
        self.last.max(self.as_of)
    }

    /// When the first decision was made.
    pub fn first_us(&self) -> Option<i64> {
        self.first_us
    }

    /// Minutes from here on are kept.
    pub fn minutes_from_us(&self) -> i64 {
        self.newest_us.saturating_sub(MINUTES_US).max(0)
    }

    /// Takes note of how long the log is.
    pub fn see(&mut self, last: i64) {
        self.last = last;
    }

    /// Counts an entry of the log.
    pub fn enter(&mut self, entry: &BriefEntry) {
        self.as_of = entry.sequence();
        match entry {
            BriefEntry::Decision { decision, .. } => {
                self.values.read(&self.fields, &decision.event, &mut self.row);
                self.decide(decision);
            }
            BriefEntry::Label { decision, fraud, before, .. } => {
                self.values.read(&self.fields, &decision.event, &mut self.row);
                self.minutes.learn(decision, &self.row, *before, *fraud);
                self.hours.learn(decision, &self.row, *before, *fraud);
            }
        }
    }

    fn decide(&mut self, decision: &Brief) {
        let at_us = decision.decided_at_us;
        self.first_us = Some(self.first_us.map_or(at_us, |first_us| first_us.min(at_us)));
        self.hours.decide(decision, self.fields.len(), &self.row);
        if at_us >= self.minutes_from_us() {
            self.minutes.decide(decision, self.fields.len(), &self.row);
        }
        if at_us > self.newest_us {
            let minute = at_us.div_euclid(Step::Minute.us()) != self.newest_us.div_euclid(Step::Minute.us());
            self.newest_us = at_us;
            if minute {
                self.minutes.forget_before(self.minutes_from_us());
            }
        }
    }

    /// What happened in a range, out to whole steps; `synthetic` alone, or what is not, or both.
    pub fn slice(&self, range_us: Range<i64>, step: Step, synthetic: Option<bool>) -> Slice {
        let width_us = step.us();
        let from = range_us.start.div_euclid(width_us) * width_us;
        let to = -(-range_us.end).div_euclid(width_us) * width_us;
        let level = if step == Step::Minute { &self.minutes } else { &self.hours };
        let mut slice = Slice {
            range_us: from..to.max(from),
            total: Counts::default(),
            points: Vec::new(),
            scores: vec![0; SCORE_BINS],
            week: vec![(0, 0); WEEK_HOURS],
            values: self.fields.iter().map(|field| (field.clone(), HashMap::new())).collect(),
            detailed_from_us: level.detailed_from_us.filter(|us| *us > from),
        };
        let cells = level.cells.range(from / level.width_us..(to.max(from)) / level.width_us);
        for (at, cells) in cells {
            let point_us = (at * level.width_us).div_euclid(width_us) * width_us;
            for (cell, is_synthetic) in cells.iter().zip([false, true]) {
                if synthetic.is_none_or(|wanted| wanted == is_synthetic) && cell.counts.decisions > 0 {
                    slice.add(point_us, cell);
                }
            }
        }
        slice
    }
}

impl Slice {
    fn add(&mut self, at_us: i64, cell: &Cell) {
        self.total.add(&cell.counts);
        match self.points.last_mut().filter(|(known_us, _)| *known_us == at_us) {
            Some((_, counts)) => counts.add(&cell.counts),
            None => self.points.push((at_us, cell.counts)),
        }
        for (bin, count) in self.scores.iter_mut().zip(&cell.scores) {
            *bin += u64::from(*count);
        }
        for (hour, decisions, alerts) in &cell.week {
            let (all, alerted) = &mut self.week[usize::from(*hour)];
            (*all, *alerted) = (*all + u64::from(*decisions), *alerted + u64::from(*alerts));
        }
        for ((_, known), values) in self.values.iter_mut().zip(cell.values.iter().flatten()) {
            for (value, counts) in values {
                known.entry(Arc::clone(value)).or_default().add(counts);
            }
        }
    }
}
