//! What the settings say of training again, and of what watches for drift.

use engine::time::{DAY_US, parse_duration};
use lab::retrain::{Criteria, Stretch};

use super::schedule::Schedule;

/// Settings of `[retraining]`, without that name in front.
pub const KEYS: [&str; 16] = [
    "schedule",
    "on_drift",
    "train_weeks",
    "test_weeks",
    "rows",
    "shadow",
    "promote",
    "min_gain",
    "min_frauds",
    "engine",
    "algorithm",
    "recipe",
    "warm_start",
    "also",
    "cores",
    "mlflow",
];

/// Settings of `[monitors]`.
pub const MONITOR_KEYS: [&str; 4] = ["psi", "missing", "window", "every"];

/// Who promotes a challenger that meets every criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promote {
    /// It is promoted.
    Rule,
    /// A person is asked.
    Person,
}

/// How models are trained again.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// When; never by itself without one.
    pub schedule: Option<Schedule>,
    /// Whether drift starts a run as well.
    pub on_drift: bool,
    /// What is learnt from, and what is tested on.
    pub stretch: Stretch,
    /// Newest rows that are used at most.
    pub rows_max: usize,
    /// How long, in event time, a challenger scores in the shadow before it is judged, in microseconds.
    pub shadow_us: i64,
    /// Who promotes.
    pub promote: Promote,
    /// Least gain in average precision.
    pub min_gain: f64,
    /// Least frauds in the comparison.
    pub min_frauds: u64,
    /// What grows the trees, as `redflag train --engine` names it.
    pub engine: String,
    /// Which ensemble, as `redflag train --algorithm` names it.
    pub algorithm: String,
    /// Further options of `redflag train` about how a model is made.
    pub recipe: String,
    /// Whether the champion's trees are kept and others added.
    pub warm_start: bool,
    /// A file whose transactions are learnt from as well: history from before the database.
    pub also: Option<std::path::PathBuf>,
    /// Cores that a run may use.
    pub cores: usize,
    /// An MLflow server that is told.
    pub mlflow: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            schedule: None,
            on_drift: false,
            stretch: Stretch { train_weeks: 8, test_weeks: 2 },
            rows_max: 1_000_000,
            shadow_us: 7 * DAY_US,
            promote: Promote::Rule,
            min_gain: 0.005,
            min_frauds: 30,
            engine: "builtin".to_string(),
            algorithm: "gbdt".to_string(),
            recipe: String::new(),
            warm_start: false,
            also: None,
            cores: 1,
            mlflow: None,
        }
    }
}

impl Config {
    /// What is asked of a challenger.
    pub fn criteria(&self) -> Criteria {
        Criteria { min_gain: self.min_gain, frauds_min: self.min_frauds, ..Criteria::default() }
    }

    /// Takes the setting `retraining.KEY`.
    ///
    /// # Errors
    /// If there is no such key, or its value is wrong.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        let expected = |what: &str| format!("`retraining.{key}` is \"{text}\", expected {what}");
        let truth = || text.parse().map_err(|_| expected("true or false"));
        let number = || whole(text).ok_or_else(|| expected("a number from 1"));
        match key {
            "schedule" => self.schedule = Some(Schedule::parse(text).map_err(|what| expected(&what))?),
            "on_drift" => self.on_drift = truth()?,
            "train_weeks" => {
                self.stretch.train_weeks = weeks(text).ok_or_else(|| expected("weeks from 1 to 520"))?
            }
            "test_weeks" => {
                self.stretch.test_weeks = weeks(text).ok_or_else(|| expected("weeks from 1 to 520"))?
            }
            "rows" => self.rows_max = number()? as usize,
            "shadow" => {
                let us = if text == "none" { Some(0) } else { parse_duration(text) };
                self.shadow_us = us.ok_or_else(|| expected("a duration, as 7d, or none"))?;
            }
            "promote" => {
                self.promote = match text {
                    "rule" => Promote::Rule,
                    "person" => Promote::Person,
                    _ => return Err(expected("rule or person")),
                }
            }
            "min_gain" => {
                self.min_gain = share(text).ok_or_else(|| expected("a number from 0 to 1, as 0.005"))?
            }
            "min_frauds" => self.min_frauds = number()?,
            "engine" => self.engine = text.to_string(),
            "algorithm" => self.algorithm = text.to_string(),
            "recipe" => self.recipe = text.to_string(),
            "warm_start" => self.warm_start = truth()?,
            "also" => self.also = Some(text.into()),
            "cores" => self.cores = number()? as usize,
            "mlflow" => self.mlflow = Some(text.to_string()),
            unknown => {
                return Err(format!("unknown key `retraining.{unknown}` (known: {})", KEYS.join(", ")));
            }
        }
        Ok(())
    }
}

/// What watches for drift.
#[derive(Debug, Clone, PartialEq)]
pub struct Monitors {
    /// A population stability index above this is told.
    pub psi: f64,
    /// So is a share of missing values that grew by more than this.
    pub missing: f64,
    /// The span of event time that is looked at, in microseconds: as long as a day or a week is no drift.
    pub window_us: i64,
    /// Time between two looks, in microseconds; longer where a look takes more than a hundredth of it.
    pub every_us: i64,
}

impl Default for Monitors {
    fn default() -> Self {
        Monitors { psi: 0.25, missing: 0.1, window_us: 7 * DAY_US, every_us: 60_000_000 }
    }
}

impl Monitors {
    /// Takes the setting `monitors.KEY`.
    ///
    /// # Errors
    /// If there is no such key, or its value is wrong.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        let expected = |what: &str| format!("`monitors.{key}` is \"{text}\", expected {what}");
        let above_0 = || text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
        match key {
            "psi" => self.psi = above_0().ok_or_else(|| expected("a number above 0, as 0.25"))?,
            "missing" => self.missing = share(text).ok_or_else(|| expected("a share from 0 to 1, as 0.1"))?,
            "window" => self.window_us = parse_duration(text).ok_or_else(|| expected("a duration, as 7d"))?,
            "every" => {
                let us = parse_duration(text).filter(|us| *us >= 1_000_000);
                self.every_us = us.ok_or_else(|| expected("a duration from 1s, as 1m"))?;
            }
            unknown => {
                return Err(format!("unknown key `monitors.{unknown}` (known: {})", MONITOR_KEYS.join(", ")));
            }
        }
        Ok(())
    }
}

fn whole(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number >= 1)
}

fn weeks(text: &str) -> Option<u32> {
    text.parse().ok().filter(|weeks| (1..=520).contains(weeks))
}

fn share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number| (0.0..=1.0).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_known_and_a_wrong_value_is_told_with_its_name() {
        let wrong = |key: &str, text: &str| Config::default().set(key, text).unwrap_err();
        assert!(
            KEYS.iter().all(|key| !Config::default().set(key, "?").is_err_and(|why| why.contains("unknown")))
        );
        assert_eq!(
            wrong("shadow", "soon"),
            "`retraining.shadow` is \"soon\", expected a duration, as 7d, or none"
        );
        assert!(wrong("schedule", "0 3 * *").contains("expected five fields"));
        assert!(wrong("promote", "me").ends_with("expected rule or person"));
        assert!(wrong("weeks", "1").starts_with("unknown key `retraining.weeks`"));
        let mut monitors = Monitors::default();
        assert!(
            MONITOR_KEYS.iter().all(|key| monitors.set(key, "x").is_err_and(|why| !why.contains("unknown")))
        );
    }
}
