//! The simulators: same seed same bytes, time order, bands for the marginals.

use std::collections::HashSet;
use std::fmt::Write as _;

use lab::simulate::drift::{Drift, SCENARIOS, Scenario};
use lab::simulate::{Cell, ColumnKind, NAMES, Row, Settings, SimulateError, Simulator, simulator};

const DAY_US: i64 = 86_400_000_000;

fn open(detector: &str, settings: Settings) -> Box<dyn Simulator> {
    simulator(detector, &settings).unwrap()
}

fn rows(rows: u64, seed: u64) -> Settings {
    Settings { seed, rows: Some(rows), ..Settings::default() }
}

fn each(mut stream: Box<dyn Simulator>, mut visit: impl FnMut(&Row)) -> u64 {
    let mut row = Row::new();
    let mut count = 0;
    while stream.next(&mut row) {
        visit(&row);
        count += 1;
    }
    count
}

/// FNV-1a over the cells as text.
fn hash(stream: Box<dyn Simulator>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut text = String::new();
    each(stream, |row| {
        text.clear();
        row.cells().for_each(|cell| write!(text, "{cell:?};").unwrap());
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    });
    hash
}

fn integer(row: &Row, index: usize) -> i64 {
    match row.cell(index) {
        Cell::Integer(value) | Cell::TimeUs(value) | Cell::Money { minor: value } => value,
        other => panic!("no integer in column {index}: {other:?}"),
    }
}

fn text(row: &Row, index: usize) -> String {
    match row.cell(index) {
        Cell::Text(text) => text.to_owned(),
        other => panic!("no text in column {index}: {other:?}"),
    }
}

fn within(what: &str, value: f64, low: f64, high: f64) {
    assert!((low..=high).contains(&value), "{what} is {value}, expected {low} to {high}");
}

/// A change of these is a change of every data set made from a seed: it belongs into the release notes.
#[test]
fn the_first_hundred_thousand_rows_of_a_seed_are_what_they_were() {
    let golden = [
        ("card-handbook", 0x714f_0300_f2e3_04c2),
        ("card", 0xc912_59a6_2d13_1d27),
        ("ulb", 0x47e0_bd08_f989_4b76),
        ("paysim", 0x4d38_cdad_f2c3_f960),
        ("banking", 0x16dc_c1d0_51e5_f284),
    ];
    let mut changed = Vec::new();
    for (detector, expected) in golden {
        let found = hash(open(detector, rows(100_000, 7)));
        assert_eq!(found, hash(open(detector, rows(100_000, 7))), "{detector}: two runs");
        assert_ne!(found, hash(open(detector, rows(100_000, 8))), "{detector}: two seeds");
        if found != expected {
            changed.push(format!("{detector}: {found:#018x}"));
        }
    }
    assert!(changed.is_empty(), "{changed:?}");
}

#[test]
fn rows_have_their_columns_and_come_in_time_order() {
    for detector in NAMES {
        let stream = open(detector, rows(50_000, 1));
        let columns = stream.columns();
        let time = ["tx_datetime", "Time", "step", "timestamp"]
            .iter()
            .find_map(|name| columns.iter().position(|column| column.name == *name))
            .unwrap();
        let mut last = i64::MIN;
        let count = each(stream, |row| {
            assert_eq!(row.cells().len(), columns.len());
            for (cell, column) in row.cells().zip(columns) {
                assert_eq!(kind(cell), column.kind, "{detector}: {}", column.name);
            }
            assert!(integer(row, time) >= last, "{detector}: time runs backwards");
            last = integer(row, time);
        });
        assert_eq!(count, 50_000, "{detector}");
    }
}

fn kind(cell: Cell<'_>) -> ColumnKind {
    match cell {
        Cell::Text(_) => ColumnKind::Text,
        Cell::Integer(_) => ColumnKind::Integer,
        Cell::Number(number) => {
            assert!(number.is_finite());
            ColumnKind::Number
        }
        Cell::Money { minor } => {
            assert!(minor >= 0);
            ColumnKind::Money
        }
        Cell::TimeUs(_) => ColumnKind::Time,
        Cell::Missing => panic!("no simulator leaves a cell out"),
    }
}

/// The Handbook's data has 1,754,155 rows in 183 days, 973 / 9,077 / 4,631 frauds by scenario. One draw of its
/// customers' habits moves the rows by 1.6 %, one draw of its compromises the frauds by a few per cent.
#[test]
fn card_handbook_has_the_books_marginals() {
    let days = 183;
    let stream = open("card-handbook", Settings { seed: 3, days: Some(days), ..Settings::default() });
    let (mut scenarios, mut late, mut amount_minor) = ([0u32; 4], 0u32, 0i64);
    let mut customers = HashSet::new();
    let count = each(stream, |row| {
        scenarios[integer(row, 6) as usize] += 1;
        late += u32::from(integer(row, 5) == 1 && integer(row, 1) >= (17_622 + 35) * DAY_US);
        amount_minor += integer(row, 4);
        customers.insert(integer(row, 2));
    });
    within("rows a day", count as f64 / f64::from(days), 9_200.0, 10_200.0);
    within("mean amount", amount_minor as f64 / 100.0 / count as f64, 51.0, 56.0);
    within("customers who pay", customers.len() as f64, 4_970.0, 5_000.0);
    within("scenario 1", f64::from(scenarios[1]), 700.0, 1_300.0);
    within("scenario 2", f64::from(scenarios[2]), 8_200.0, 10_200.0);
    within("scenario 3", f64::from(scenarios[3]), 4_000.0, 5_400.0);
    let frauds: u32 = scenarios[1..].iter().sum();
    within("fraud share", f64::from(frauds) / count as f64, 0.0075, 0.0095);
    within("frauds after five weeks", f64::from(late) / (f64::from(days - 35) * 9_690.0), 0.0080, 0.0100);
}

#[test]
fn card_has_its_share_of_fraud_from_the_first_day() {
    let stream = open("card", Settings { seed: 3, days: Some(3), ..Settings::default() });
    let mut frauds = 0;
    let count = each(stream, |row| frauds += integer(row, 7));
    within("fraud share", frauds as f64 / count as f64, 0.004, 0.012);
}

#[test]
fn card_says_how_and_where_it_was_used() {
    let (mut online, mut abroad, mut new_devices) = ([0.0; 2], [0.0; 2], [0.0; 2]);
    let mut classes = [0.0; 2];
    each(open("card", rows(300_000, 5)), |row| {
        let channel = text(row, 5);
        assert!(["chip", "contactless", "online", "atm"].contains(&channel.as_str()));
        assert_eq!(text(row, 6).len(), 2);
        let class = integer(row, 7) as usize;
        classes[class] += 1.0;
        online[class] += f64::from(u8::from(channel == "online"));
        let is_abroad =
            ["US", "CN", "TR", "BR", "NG", "IT", "ES", "GB", "IE"].contains(&text(row, 6).as_str());
        abroad[class] += f64::from(u8::from(is_abroad));
        let device = text(row, 10);
        assert_eq!(device.starts_with('T'), channel != "online");
        let is_new = device.rsplit_once('-').is_some_and(|(_, number)| number.len() > 2);
        new_devices[class] += f64::from(u8::from(is_new));
    });
    let share = |of: [f64; 2], class: usize| of[class] / classes[class];
    within("genuine online", share(online, 0), 0.18, 0.26);
    within("fraud online", share(online, 1), 0.35, 0.75);
    within("genuine abroad", share(abroad, 0), 0.015, 0.06);
    within("fraud abroad", share(abroad, 1), 0.02, 0.30);
    within("genuine from new devices", share(new_devices, 0), 0.001, 0.004);
    within("fraud from new devices", share(new_devices, 1), 0.2, 0.6);
}

/// So history can be made up to now and the live stream from now on, in one world.
#[test]
fn a_card_stream_started_later_is_the_tail_of_one_started_earlier() {
    for detector in ["card", "banking"] {
        let from = |start_us: i64, days: u32, first_id: i64| {
            let customers = Some(400);
            let settings = Settings {
                seed: 2,
                start_us,
                first_id,
                rows: None,
                days: Some(days),
                customers,
                terminals: None,
                ..Settings::default()
            };
            let mut seen = Vec::new();
            each(open(detector, settings), |row| {
                seen.push((
                    integer(row, 1),
                    row.cells().skip(1).map(|cell| format!("{cell:?}")).collect::<Vec<_>>(),
                ));
            });
            seen
        };
        let noon = 20_010 * DAY_US + DAY_US / 2;
        let early: Vec<_> = from(20_000 * DAY_US, 40, 0).into_iter().filter(|row| row.0 >= noon).collect();
        assert!(!early.is_empty());
        assert_eq!(early, from(noon, 30, 1_000), "{detector}");
    }
}

#[test]
fn ids_begin_where_they_are_told_and_count_up() {
    for detector in ["card", "card-handbook", "banking"] {
        let mut next = 5_000;
        each(open(detector, Settings { first_id: 5_000, ..rows(3_000, 1) }), |row| {
            assert_eq!(integer(row, 0), next, "{detector}");
            next += 1;
        });
    }
}

#[test]
fn ulb_has_uncorrelated_components_and_rare_fraud() {
    let mut sums = vec![0.0; 28];
    let mut products = vec![[0.0; 28]; 28];
    let (mut frauds, mut amounts, mut last_s) = (0, Vec::new(), 0);
    let stream = open("ulb", rows(284_807, 1));
    let count = each(stream, |row| {
        let fraud = integer(row, 30);
        frauds += fraud;
        amounts.push(integer(row, 29));
        last_s = integer(row, 0);
        let v: Vec<f64> = (1..29)
            .map(|index| match row.cell(index) {
                Cell::Number(value) => value,
                other => panic!("{other:?}"),
            })
            .collect();
        for a in 0..28 * usize::from(fraud == 0) {
            sums[a] += v[a];
            (0..28).for_each(|b| products[a][b] += v[a] * v[b]);
        }
    }) as f64;
    within("fraud share", frauds as f64 / count, 0.0014, 0.0021);
    within("seconds", last_s as f64, 165_000.0, 180_000.0);
    let covariance = |a: usize, b: usize| products[a][b] / count - sums[a] / count * sums[b] / count;
    for a in 0..28 {
        for b in 0..a {
            let correlation = covariance(a, b) / (covariance(a, a) * covariance(b, b)).sqrt();
            within("correlation", correlation, -0.02, 0.02);
        }
    }
    amounts.sort_unstable();
    let (median, top) = (amounts[amounts.len() / 2], amounts[amounts.len() * 999 / 1_000]);
    within("tail of the amounts", top as f64 / median as f64, 50.0, 500.0);
}

/// Ground rules of the log: balances move by the amount, fraud empties the account, and a chain goes from account to account until
/// it ends as cash.
#[test]
fn paysim_balances_and_mule_chains_hold_together() {
    let mut pending: Option<(i64, String)> = None;
    let (mut frauds, mut longest, mut length, mut step, mut origins) = (0, 0, 0, 0, HashSet::new());
    let mut kinds = std::collections::BTreeMap::<String, u32>::new();
    let count = each(open("paysim", rows(400_000, 2)), |row| {
        let (kind, amount) = (text(row, 1), integer(row, 2));
        let (before, after) = (integer(row, 4), integer(row, 5));
        let (fraud, flagged) = (integer(row, 9) == 1, integer(row, 10) == 1);
        let moved = if kind == "CASH_IN" { before + amount } else { (before - amount).max(0) };
        assert_eq!(after, if flagged { before } else { moved });
        assert_eq!(kind == "PAYMENT", text(row, 6).starts_with('M'));
        assert_eq!(text(row, 11), if fraud { "mule-chain" } else { "" });
        if fraud {
            assert_eq!(before, amount);
            if let Some((passed_on, holder)) = pending.take() {
                assert_eq!(holder, text(row, 3));
                assert!(amount <= passed_on && amount as f64 >= 0.89 * passed_on as f64);
            }
            length = if kind == "CASH_OUT" { 0 } else { length + 1 };
            longest = longest.max(length);
            pending = (kind == "TRANSFER" && !flagged).then(|| (amount, text(row, 6)));
            length *= i32::from(!flagged);
        } else {
            assert!(pending.is_none());
        }
        frauds += u32::from(fraud);
        step = integer(row, 0);
        origins.insert(text(row, 3));
        *kinds.entry(kind).or_default() += 1;
    }) as f64;
    assert_eq!(longest, 3);
    within("fraud share", f64::from(frauds) / count, 0.0010, 0.0016);
    within("steps", step as f64, 700.0, 790.0);
    within("different originators", origins.len() as f64 / count, 0.99, 1.0);
    for (kind, share) in [("CASH_OUT", 0.352), ("PAYMENT", 0.338), ("CASH_IN", 0.220), ("TRANSFER", 0.084)] {
        within(kind, f64::from(kinds[kind]) / count, share - 0.01, share + 0.01);
    }
}

/// The attack of each row of a stream, and whether it is labelled fraud.
fn attacks(detector: &str, settings: Settings) -> (f64, std::collections::BTreeMap<String, f64>) {
    let stream = open(detector, settings);
    let columns = stream.columns();
    let find = |names: &[&str]| columns.iter().position(|column| names.contains(&column.name)).unwrap();
    let (attack, label) = (find(&["attack"]), find(&["tx_fraud", "is_fraud", "isFraud"]));
    let mut found = std::collections::BTreeMap::new();
    let count = each(stream, |row| {
        let name = text(row, attack);
        assert_eq!(integer(row, label) == 1, !name.is_empty());
        *found.entry(name).or_insert(0.0) += 1.0;
    });
    (count as f64, found)
}

#[test]
fn every_attack_is_carried_out() {
    for (detector, low, high) in [("card", 0.004, 0.012), ("banking", 0.003, 0.012)] {
        let (count, found) = attacks(detector, rows(300_000, 3));
        let names =
            ["account-takeover", "bust-out", "card-testing", "compromised-terminal", "foreign-merchant"];
        for name in names.iter().chain(&["stolen-card-spree", "unknown-merchant"]) {
            assert!(found.get(*name).is_some_and(|frauds| *frauds > 20.0), "{detector}: {name} in {found:?}");
        }
        within("fraud share", 1.0 - found[""] / count, low, high);
    }
}

#[test]
fn scripts_of_ones_own_replace_the_shipped_ones() {
    let toml = "name = \"refund\"\ntarget = \"customer\"\nper_day = 0.001\ndays = 1\n[[phase]]\npayments = 2\nhours = [9, 9]\n\
                gap_s = 60\namount = 77\nplace = \"one\"\nchannels = { transfer = 1 }\n";
    let script = lab::simulate::script::parse("refund.toml", toml).unwrap();
    let own = Settings { attacks: [script].into(), ..rows(100_000, 1) };
    let (_, found) = attacks("banking", own.clone());
    assert_eq!(found.keys().collect::<Vec<_>>(), ["", "refund"]);
    let mut last: Option<(i64, String)> = None;
    each(open("banking", own), |row| {
        if integer(row, 7) == 1 {
            assert_eq!((text(row, 5).as_str(), integer(row, 6)), ("transfer", 7_700));
            let second = integer(row, 1).rem_euclid(DAY_US) / 1_000_000;
            assert!(second == 32_400 || second == 32_460, "{second}");
            last = Some((second, text(row, 2)));
        }
    });
    assert!(last.is_some());
    for detector in ["card", "banking", "paysim"] {
        let none = Settings { attacks: [].into(), ..rows(30_000, 1) };
        assert_eq!(attacks(detector, none).1.len(), 1, "{detector}");
    }
}

/// Fixed parts of a day are made by whoever is free.
#[test]
fn the_number_of_threads_cannot_show() {
    for detector in ["card", "banking"] {
        let on = |threads: usize| {
            let settings = Settings { threads: Some(threads), ..rows(60_000, 9) };
            hash(open(detector, settings))
        };
        assert_eq!(on(1), on(3), "{detector}");
        assert_eq!(on(1), hash(open(detector, rows(60_000, 9))), "{detector}");
    }
}

#[test]
fn banking_fraud_is_nightlier_and_dearer_and_no_certainty() {
    let mut seen = [[0.0f64; 4]; 2];
    let count = each(open("banking", rows(400_000, 4)), |row| {
        let class = &mut seen[integer(row, 7) as usize];
        let hour = integer(row, 1).rem_euclid(DAY_US) / 3_600_000_000;
        class[0] += 1.0;
        class[1] += f64::from(u8::from(hour < 6));
        class[2] += f64::from(u8::from(text(row, 5) == "transfer"));
        class[3] += integer(row, 6) as f64 / 100.0;
    }) as f64;
    within("fraud share", seen[1][0] / count, 0.003, 0.012);
    let share = |class: usize, what: usize| seen[class][what] / seen[class][0];
    within("genuine by night", share(0, 1), 0.02, 0.10);
    within("fraud by night", share(1, 1), 0.15, 0.50);
    within("how much dearer fraud is", share(1, 3) / share(0, 3), 1.3, 6.0);
}

/// Weekends, salaries and holidays show in the number of payments.
#[test]
fn weeks_and_holidays_have_their_rhythm() {
    let start_us = 17_836 * DAY_US; // 1 November 2018
    let settings = Settings { start_us, days: Some(61), customers: Some(4_000), ..Settings::default() };
    let mut days = vec![0.0; 61];
    each(open("banking", settings), |row| days[((integer(row, 1) - start_us) / DAY_US) as usize] += 1.0);
    let of = |which: &dyn Fn(usize) -> bool| {
        let picked: Vec<f64> = (0..61).filter(|day| which(*day)).map(|day| days[day]).collect();
        picked.iter().sum::<f64>() / picked.len() as f64
    };
    // 1 November 2018 was a Thursday and a holiday; 25 December is the 55th day.
    within(
        "Friday by Sunday",
        of(&|day| day % 7 == 1 && day < 20) / of(&|day| day % 7 == 3 && day < 20),
        1.15,
        1.40,
    );
    within(
        "before Christmas by after",
        of(&|day| (30..54).contains(&day)) / of(&|day| (2..22).contains(&day)),
        1.15,
        1.35,
    );
    within("Christmas by the day before", days[54] / days[53], 0.25, 0.45);
}

#[test]
fn a_population_of_one_and_of_nobody() {
    for detector in NAMES {
        let one = Settings { customers: Some(1), terminals: Some(1), ..rows(100, 1) };
        assert_eq!(each(open(detector, one), |_| ()), 100, "{detector}");
        let nobody = Settings { customers: Some(0), ..rows(100, 1) };
        let Err(error) = simulator(detector, &nobody) else { panic!("{detector} simulates nobody") };
        assert_eq!(error, SimulateError::EmptyPopulation { field: "customers" });
    }
}

#[test]
fn an_unknown_simulator_is_named_with_those_there_are() {
    let Err(error) = simulator("cards", &Settings::default()) else { panic!("there is no `cards`") };
    assert_eq!(
        error.to_string(),
        "no simulator for detector `cards`; there are card-handbook, card, ulb, paysim, banking"
    );
}

/// Few rows still span weeks, many rows not years: the population follows.
#[test]
fn the_population_follows_the_rows() {
    for (count, low, high) in [(20_000, 27, 34), (1_000_000, 95, 112), (4_000_000, 190, 210)] {
        let mut last = 0;
        let mut customers = 0;
        each(open("card-handbook", rows(count, 6)), |row| {
            last = integer(row, 1);
            customers = customers.max(integer(row, 2));
        });
        let days = last / DAY_US - 17_622;
        assert!((low..=high).contains(&days), "{count} rows span {days} days with {customers} customers");
    }
}

#[test]
fn a_day_has_as_many_rows_as_are_told() {
    for detector in NAMES {
        // Whole weeks: days of the week differ.
        let settings = Settings { days: Some(14), customers: Some(2_000), ..Settings::default() };
        let stream = open(detector, settings);
        let told = 14.0 * stream.rows_per_day();
        let rows = each(stream, |_| {}) as f64;
        within(&format!("rows of {detector}, of those told,"), rows / told, 0.93, 1.07);
    }
}

fn drifting(scenario: Scenario, day: u32) -> Settings {
    let drift = Some(Drift { scenario, day });
    Settings { seed: 7, days: Some(60), customers: Some(400), drift, ..Settings::default() }
}

/// The rows of each day as text, and of each day the attacks and the mean amount in hundredths.
fn by_day(settings: Settings) -> Vec<Vec<String>> {
    let start_us = settings.start_us;
    let mut days = vec![Vec::new(); 60];
    each(open("card", settings), |row| {
        let day = (integer(row, 1) - start_us) / DAY_US;
        let cells: Vec<String> = row.cells().map(|cell| format!("{cell:?}")).collect();
        days[day as usize].push(cells.join(";"));
    });
    days
}

#[test]
fn a_world_that_drifts_is_the_same_until_its_day_and_another_after() {
    let steady = by_day(Settings { drift: None, ..drifting(Scenario::All, 30) });
    for (_, scenario) in SCENARIOS {
        let drifted = by_day(drifting(scenario, 30));
        assert_eq!(drifted, by_day(drifting(scenario, 30)), "{scenario}: two runs");
        assert!(drifted[..30] == steady[..30], "{scenario}: before");
        assert!((40..60).all(|day| drifted[day] != steady[day]), "{scenario}: after");
    }
    let golden = hash(open("card", drifting(Scenario::All, 30)));
    assert_eq!(golden, 0x85e7_5706_55fe_82e9, "{golden:#018x}");
}

#[test]
fn each_scenario_changes_what_its_name_says() {
    let count = |settings: Settings| {
        let from_us = settings.start_us + 45 * DAY_US;
        let (mut new, mut known, mut missing, mut amounts, mut rows) = (0, 0, 0, 0, 0);
        each(open("card", settings), |row| {
            if integer(row, 1) >= from_us {
                let attack = text(row, 12);
                let is_new = ["contactless-relay", "subscription-trap"].contains(&attack.as_str());
                new += i64::from(is_new);
                known += i64::from(!is_new && !attack.is_empty());
                missing += i64::from(row.cell(5) == Cell::Missing);
                amounts += integer(row, 4);
                rows += 1;
            }
        });
        [new as f64, known as f64, missing as f64 / rows as f64, amounts as f64 / rows as f64]
    };
    let steady = count(Settings { drift: None, ..drifting(Scenario::All, 30) });
    let attacked = count(drifting(Scenario::NewAttack, 30));
    assert_eq!((steady[0], steady[2]), (0.0, 0.0));
    within("new frauds", attacked[0], 30.0, 120.0);
    within("known frauds", attacked[1], 0.0, 0.5 * steady[1]);
    within("inflation", count(drifting(Scenario::Inflation, 30))[3] / steady[3], 1.99, 2.01);
    within("without a channel", count(drifting(Scenario::MissingField, 30))[2], 0.4, 0.6);
}

#[test]
fn a_simulator_that_cannot_drift_says_so() {
    let drift = Some(Drift { scenario: Scenario::Inflation, day: 3 });
    let told = simulator("ulb", &Settings { drift, ..Settings::default() }).err().unwrap();
    assert_eq!(told.to_string(), "the simulator of `ulb` cannot drift; those of card can");
}
