//! What becomes of a model when the world changes, day by day: left alone, retrained by the loop, and learning from each label.
//!
//! All play the same stream. A label is known so long after its transaction as the detector says, for everybody alike, so each
//! score is one that could have been given at the time. The loop is the service's own: [`retrain::challenger`] and
//! [`retrain::judge`], every seven days, on what has matured by then.

/// Figures by day.
mod days;
/// A page about it.
mod page;

use std::ops::Range;

use anyhow::{Result, ensure};
use engine::detector::Detector;
use engine::time::DAY_US;
use serde::Serialize;

use crate::artifact::ModelFile;
use crate::online::{self, OnlineModel};
use crate::retrain::{self, Criteria, Stretch};
use crate::split::label_delay_us;
use crate::train::{Recipe, TrainingSet, in_words, train};

pub use days::{Day, Figures, Shifted};
pub use page::{csv, page};

/// How the play goes.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The first champion learns from so many weeks.
    pub first_weeks: u32,
    /// What a challenger learns from, and is tested on.
    pub stretch: Stretch,
    /// Days that a challenger scores in the shadow before it is judged; it is judged with the next run.
    pub shadow_days: u32,
    /// What is asked of a challenger.
    pub criteria: Criteria,
    /// How models are grown.
    pub recipe: Recipe,
    /// How the online model learns.
    pub online: online::Settings,
    /// Alerts that people can look at in a day.
    pub budget: usize,
    /// The day from which the world is another, counted from the first of the stream.
    pub drift_day: u32,
}

/// Days from one run of the loop to the next.
pub const RUN_EVERY: u32 = 7;

/// Those who play: what is done about drift, from nothing to learning from each label.
pub const PLAYERS: [&str; 4] = ["frozen", "retrained", "retrained warm", "online"];

/// A run of the loop that came to a verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Whose: one of [`PLAYERS`].
    pub player: &'static str,
    /// The day on which it was judged.
    pub day: u32,
    /// Whether the challenger was promoted.
    pub promoted: bool,
    /// The verdict.
    pub words: String,
}

/// All that was played.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recovery {
    /// The detector's name.
    pub detector: String,
    /// [`PLAYERS`], in the order of the figures.
    pub players: [&'static str; 4],
    /// The day from which the world is another.
    pub drift_day: u32,
    /// Days until a label is known.
    pub label_delay_days: f64,
    /// Alerts a day.
    pub budget: usize,
    /// Of each day, figures of the seven days that end with it.
    pub days: Vec<Day>,
    /// Verdicts, in order.
    pub runs: Vec<Run>,
}

impl Recovery {
    /// The days that end a week, counted from the drift, so that no week has days of both worlds.
    pub fn weeks(&self) -> impl Iterator<Item = &Day> {
        self.days.iter().filter(|day| (day.day + 1).abs_diff(self.drift_day) % RUN_EVERY == 0)
    }
}

/// The first day that is played: the first champion has been trained by then, on labels that were known.
pub fn first_day(detector: &Detector, first_weeks: u32) -> u32 {
    let delay_days = (label_delay_us(detector) + DAY_US - 1) / DAY_US;
    7 * first_weeks + delay_days as u32
}

/// Plays all four over the rows of a stream, in order of time. `progress` is told the share that is done, in days of one player.
///
/// # Errors
/// If there are too few days or frauds to learn from.
pub fn play(
    detector: &Detector,
    set: &TrainingSet,
    plan: &Plan,
    progress: &mut dyn FnMut(u64),
) -> Result<Recovery> {
    let mut stage = Stage::new(detector, set, plan, progress)?;
    let champion = train(detector, &set.within(&stage.first), &plan.recipe, &mut |_| {})?;
    let frozen =
        retrain::probabilities(&champion, &set.select(&(stage.begin..set.len()).collect::<Vec<_>>()));
    stage.count(stage.played.len() as u64);
    let mut runs = Vec::new();
    let retrained = stage.retrained(PLAYERS[1], &champion, false, &mut runs)?;
    let warm = stage.retrained(PLAYERS[2], &champion, true, &mut runs)?;
    let scores = [frozen, retrained, warm, stage.online()?];
    runs.sort_by_key(|run| run.day);
    Ok(Recovery {
        detector: detector.name.clone(),
        players: PLAYERS,
        drift_day: plan.drift_day,
        label_delay_days: stage.delay_us as f64 / DAY_US as f64,
        budget: plan.budget,
        days: days::figures(detector, set, &scores, &stage.window(), champion.baseline.as_ref(), plan.budget),
        runs,
    })
}

/// What all of them share.
struct Stage<'a> {
    detector: &'a Detector,
    set: &'a TrainingSet,
    plan: &'a Plan,
    delay_us: i64,
    /// When the stream begins.
    start_us: i64,
    /// What the first champion learns from.
    first: Range<i64>,
    /// The days that are played.
    played: Range<u32>,
    /// The first row that is played.
    begin: usize,
    done: u64,
    progress: &'a mut dyn FnMut(u64),
}

/// A challenger that scores in the shadow.
struct Shadow {
    model: ModelFile,
    /// When what it is judged on begins.
    test_us: i64,
    /// The day on which it may be judged.
    until: u32,
}

impl<'a> Stage<'a> {
    fn new(
        detector: &'a Detector,
        set: &'a TrainingSet,
        plan: &'a Plan,
        progress: &'a mut dyn FnMut(u64),
    ) -> Result<Stage<'a>> {
        let covered = set.days();
        let days = ((covered.end - covered.start) / DAY_US) as u32;
        let first_day = first_day(detector, plan.first_weeks);
        ensure!(
            first_day + RUN_EVERY <= days,
            "{days} days {}: expected {first_day} to begin with, and a week to play",
            in_words(&covered)
        );
        let first = covered.start..covered.start + i64::from(7 * plan.first_weeks) * DAY_US;
        let begin_us = covered.start + i64::from(first_day) * DAY_US;
        Ok(Stage {
            detector,
            set,
            plan,
            delay_us: label_delay_us(detector),
            start_us: covered.start,
            first,
            played: first_day..days,
            begin: set.times_us.partition_point(|time_us| *time_us < begin_us),
            done: 0,
            progress,
        })
    }

    fn count(&mut self, days: u64) {
        self.done += days;
        (self.progress)(self.done);
    }

    fn instant(&self, day: u32) -> i64 {
        self.start_us + i64::from(day) * DAY_US
    }

    fn rows_of(&self, day: u32) -> Range<usize> {
        let place = |time_us: i64| self.set.times_us.partition_point(|row_us| *row_us < time_us);
        place(self.instant(day))..place(self.instant(day + 1))
    }

    /// The rows of each played day.
    fn window(&self) -> Vec<(u32, Range<usize>)> {
        self.played.clone().map(|day| (day, self.rows_of(day))).collect()
    }

    /// What the loop makes of the first champion: the score of each row by whoever was champion on its day.
    fn retrained(
        &mut self,
        player: &'static str,
        first: &ModelFile,
        is_warm: bool,
        runs: &mut Vec<Run>,
    ) -> Result<Vec<f64>> {
        let mut champion = first.clone();
        let (mut shadow, mut scores): (Option<Shadow>, Vec<f64>) = (None, Vec::new());
        for day in self.played.clone() {
            // On the first day nothing is known yet that the first champion was not trained on.
            if day > self.played.start && (day - self.played.start).is_multiple_of(RUN_EVERY) {
                if let Some(due) = shadow.take_if(|shadow| shadow.until <= day) {
                    champion = self.judged(player, day, champion, due, runs)?;
                }
                if shadow.is_none() {
                    let grown = self.challenger(day, is_warm.then_some(&champion))?;
                    match self.plan.shadow_days {
                        0 => champion = self.judged(player, day, champion, grown, runs)?,
                        _ => shadow = Some(grown),
                    }
                }
            }
            let today: Vec<usize> = self.rows_of(day).collect();
            scores.extend(retrain::probabilities(&champion, &self.set.select(&today)));
            self.count(1);
        }
        Ok(scores)
    }

    fn challenger(&self, day: u32, older: Option<&ModelFile>) -> Result<Shadow> {
        let Plan { stretch, recipe, shadow_days, .. } = self.plan;
        let weeks = i64::from(stretch.train_weeks + stretch.test_weeks);
        let matured = self.instant(day) - self.delay_us;
        let rows = self.set.within(&(matured - weeks * 7 * DAY_US..matured));
        let split = stretch.of(&rows)?;
        let model = retrain::challenger(self.detector, &rows, &split, recipe, older, &mut |_| {})?;
        Ok(Shadow { model, test_us: split.test.start, until: day + shadow_days })
    }

    /// Whoever is champion after the verdict, on all that has matured since the challenger's training ended.
    fn judged(
        &self,
        player: &'static str,
        day: u32,
        champion: ModelFile,
        challenger: Shadow,
        runs: &mut Vec<Run>,
    ) -> Result<ModelFile> {
        let test = challenger.test_us..self.instant(day) - self.delay_us;
        let rows = self.set.within(&test);
        let (old, new) = (Some(&champion), &challenger.model);
        let verdict = retrain::judge(self.detector, &rows, &test, old, new, None, &self.plan.criteria)?;
        runs.push(Run { player, day, promoted: verdict.promote, words: verdict.words });
        Ok(if verdict.promote { challenger.model } else { champion })
    }

    /// The online model's score of each row, by all labels that were known at its instant.
    fn online(&mut self) -> Result<Vec<f64>> {
        let (set, delay_us) = (self.set, self.delay_us);
        let mut model = OnlineModel::new(set.columns.len(), self.plan.online)?;
        let mut row = vec![0.0; set.columns.len()];
        let fill = |row: &mut [f64], at: usize| {
            row.iter_mut().zip(&set.columns).for_each(|(value, column)| *value = column[at]);
        };
        let (mut learnt, mut scores) = (0, Vec::with_capacity(set.len() - self.begin));
        for day in self.played.clone() {
            for at in self.rows_of(day) {
                while set.times_us[learnt] + delay_us < set.times_us[at] {
                    fill(&mut row, learnt);
                    model.learn(&row, set.labels[learnt]);
                    learnt += 1;
                }
                fill(&mut row, at);
                scores.push(model.probability(&row));
            }
            self.count(1);
        }
        Ok(scores)
    }
}
