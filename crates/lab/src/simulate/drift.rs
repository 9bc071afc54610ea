//! A world that changes on purpose, from a day on: until then it is, to the byte, the world that does not.
//!
//! Nothing here is drawn while the world goes on: how often attacks begin, what amounts are multiplied by and which terminals
//! leave a field out are functions of the day and of the terminal.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use super::script::{self, Script};
use crate::random::Stream;

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Attacks never seen before take over, those known fade to a tenth within a week.
    NewAttack,
    /// Amounts grow to twice what they were within two weeks, the limit of contactless payments with them.
    Inflation,
    /// Half of the terminals leave the channel out.
    MissingField,
    /// All of it at once.
    All,
}

/// The scenarios by their names.
pub const SCENARIOS: [(&str, Scenario); 4] = [
    ("new-attack", Scenario::NewAttack),
    ("inflation", Scenario::Inflation),
    ("missing-field", Scenario::MissingField),
    ("all", Scenario::All),
];

/// The detectors whose simulator can drift.
pub const DRIFTING: [&str; 1] = ["card"];

/// A change of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// What changes.
    pub scenario: Scenario,
    /// From which day of the stream on; its first is 0.
    pub day: u32,
}

/// Days until new attacks are as frequent as they get, and known ones as rare.
const TAKEOVER_DAYS: f64 = 7.0;
/// How frequent known attacks remain, as a share of what they were.
const REMAINING: f64 = 0.1;
/// Days until amounts have grown.
const GROWTH_DAYS: f64 = 14.0;
/// What amounts are multiplied by in the end.
const GROWTH: f64 = 2.0;
/// The share of the terminals that leave a field out.
const SILENT: f64 = 0.5;

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Scenario, String> {
        let found = SCENARIOS.iter().find(|(known, _)| *known == name);
        let known = || SCENARIOS.map(|(known, _)| known).join(", ");
        found.map(|(_, scenario)| *scenario).ok_or_else(|| format!("expected one of {}", known()))
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = SCENARIOS.iter().find(|(_, scenario)| scenario == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// A drift with its place in the calendar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    scenario: Scenario,
    /// Counted since 1970.
    first_day: i64,
}

impl Change {
    /// `start_day` is the stream's first day, counted since 1970.
    pub(super) fn new(drift: Drift, start_day: i64) -> Change {
        Change { scenario: drift.scenario, first_day: start_day + i64::from(drift.day) }
    }

    fn is(self, scenario: Scenario) -> bool {
        self.scenario == scenario || self.scenario == Scenario::All
    }

    /// The attacks that it brings.
    pub(super) fn scripts(self) -> &'static [Script] {
        static NEW: LazyLock<Vec<Script>> = LazyLock::new(|| {
            script::parse_all(NEW_ATTACKS.into_iter()).unwrap_or_else(|wrong| panic!("{wrong:?}"))
        });
        if self.is(Scenario::NewAttack) { &NEW } else { &[] }
    }

    /// Days since 1970 until `day`, each counted by how frequent attacks were on it: usual ones, or those that are new.
    pub(super) fn busy_days(self, day: i64, is_new: bool) -> f64 {
        let since = (day - self.first_day).max(0) as f64;
        // A straight ramp from 0 to 1, summed up.
        let risen = if since < TAKEOVER_DAYS {
            since * since / (2.0 * TAKEOVER_DAYS)
        } else {
            since - TAKEOVER_DAYS / 2.0
        };
        match (is_new, self.is(Scenario::NewAttack)) {
            (true, _) => risen,
            (false, true) => day as f64 - (1.0 - REMAINING) * risen,
            (false, false) => day as f64,
        }
    }

    /// What amounts of a day are multiplied by.
    pub(super) fn price(self, day: i64) -> f64 {
        let grown = ((day - self.first_day + 1) as f64 / GROWTH_DAYS).clamp(0.0, 1.0);
        if self.is(Scenario::Inflation) { 1.0 + (GROWTH - 1.0) * grown } else { 1.0 }
    }

    /// Whether a terminal leaves the channel out on a day.
    pub(super) fn is_silent(self, seed: u64, purpose: u64, terminal: u32, day: i64) -> bool {
        self.is(Scenario::MissingField)
            && day >= self.first_day
            && Stream::at(seed, purpose, terminal.into(), 0).chance(SILENT)
    }
}

/// Attacks that no other stream has.
const NEW_ATTACKS: [(&str, &str); 2] = [
    (
        "drift/contactless-relay.toml",
        include_str!("../../../../detectors/attacks/drift/contactless-relay.toml"),
    ),
    (
        "drift/subscription-trap.toml",
        include_str!("../../../../detectors/attacks/drift/subscription-trap.toml"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_wrong_ones_are_told_with_the_known() {
        for (name, scenario) in SCENARIOS {
            assert_eq!((name.parse(), scenario.to_string().as_str()), (Ok(scenario), name));
        }
        let told = "war".parse::<Scenario>().unwrap_err();
        assert_eq!(told, "expected one of new-attack, inflation, missing-field, all");
    }

    #[test]
    fn a_change_is_nothing_before_its_day_and_whole_after_its_ramp() {
        let change = Change::new(Drift { scenario: Scenario::All, day: 30 }, 1_000);
        assert_eq!(change.busy_days(1_030, false), 1_030.0);
        assert_eq!((change.busy_days(1_030, true), change.price(1_029)), (0.0, 1.0));
        let of_a_day = |is_new| change.busy_days(1_061, is_new) - change.busy_days(1_060, is_new);
        assert!((of_a_day(true) - 1.0).abs() < 1e-9 && (of_a_day(false) - 0.1).abs() < 1e-9);
        assert_eq!(change.price(1_043), 2.0);
        let silent = |day| (0..1_000).filter(|terminal| change.is_silent(7, 1, *terminal, day)).count();
        assert_eq!(silent(1_029), 0);
        assert!((450..550).contains(&silent(1_030)) && silent(1_030) == silent(1_090));
        assert_eq!(change.scripts().len(), 2);
    }
}
