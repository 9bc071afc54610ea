//! The play of models in a world that changes: what each may know, and that the loop gets over it.

use std::sync::Arc;

use engine::{Detector, Engine};
use forest::grow::{Algorithm, Params};
use lab::dataset::SimulatedReader;
use lab::recovery::{Figures, PLAYERS, Plan, Recovery, csv, first_day, page, play};
use lab::replay::replay;
use lab::retrain::{Criteria, Stretch};
use lab::simulate::drift::{Drift, Scenario};
use lab::simulate::{Settings, simulator};
use lab::train::{BATCH_ROWS, Recipe, TrainingSet};

const DRIFT_DAY: u32 = 35;

fn detector() -> Arc<Detector> {
    Arc::new(Detector::parse(include_str!("../../../../detectors/card.toml")).unwrap())
}

fn stream(detector: &Arc<Detector>, days: u32) -> TrainingSet {
    let drift = Some(Drift { scenario: Scenario::NewAttack, day: DRIFT_DAY });
    let settings = Settings { seed: 3, days: Some(days), customers: Some(500), drift, ..Settings::default() };
    let reader =
        SimulatedReader::new(simulator("card", &settings).unwrap(), &Arc::new(detector.schema.clone()));
    let mut set = TrainingSet::new(detector.features.len(), None);
    let mut engine = Engine::new(Arc::clone(detector), None, 2);
    replay(Box::new(reader), &mut engine, BATCH_ROWS, &mut set, &mut |_| {}).unwrap();
    set
}

fn plan() -> Plan {
    Plan {
        first_weeks: 3,
        stretch: Stretch { train_weeks: 8, test_weeks: 1 },
        shadow_days: 0,
        criteria: Criteria { frauds_min: 10, ..Criteria::default() },
        recipe: Recipe::plain(Params { trees: 40, ..Params::defaults(Algorithm::Gbdt) }),
        online: lab::online::Settings::default(),
        budget: 25,
        drift_day: DRIFT_DAY,
    }
}

fn played(days: u32) -> Recovery {
    let detector = detector();
    play(&detector, &stream(&detector, days), &plan(), &mut |_| {}).unwrap()
}

#[test]
fn the_loop_gets_over_attacks_that_the_frozen_champion_has_never_seen() {
    let recovery = played(84);
    assert_eq!(first_day(&detector(), 3), 28);
    let last = &recovery.days.last().unwrap().players;
    let precision = |figures: &Figures| figures.average_precision.unwrap();
    assert!(precision(&last[1]) > precision(&last[0]) + 0.1, "{last:?}");
    assert!(recovery.runs.iter().any(|run| run.promoted && run.player == "retrained" && run.day > DRIFT_DAY));
    let days: Vec<u32> = recovery.weeks().map(|day| day.day).collect();
    assert_eq!(days, [34, 41, 48, 55, 62, 69, 76, 83]);
}

#[test]
fn nobody_knows_what_comes_later() {
    let (short, long) = (played(63), played(70));
    assert_eq!(short.days[..], long.days[..short.days.len()]);
    assert!(long.runs.starts_with(&short.runs));
}

#[test]
fn a_play_is_written_as_a_page_and_as_a_table() {
    let recovery = played(49);
    let page = page(&recovery, "seed <3>");
    assert!(
        page.contains("seed &lt;3&gt;") && page.matches("<svg").count() == 3 && !page.contains("<script")
    );
    let table = csv(&recovery);
    let widths: Vec<usize> = table.lines().map(|line| line.split(',').count()).collect();
    assert_eq!(widths, vec![6 + 2 * PLAYERS.len(); 1 + recovery.days.len()]);
}
