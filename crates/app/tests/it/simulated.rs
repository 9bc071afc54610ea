//! The whole road on simulated transactions: simulate, features, train, evaluate, replay, score.

use super::desk::Desk;

const DETECTORS: [&str; 5] = ["card", "card-handbook", "ulb", "paysim", "banking"];

fn simulate(desk: &Desk, detector: &str, rows: usize, out: &str) {
    desk.ok(&format!("simulate --detector {detector} --rows {rows} --seed 3 --out {out}"));
}

#[test]
fn every_detector_reads_back_what_is_simulated_for_it_in_every_format() {
    let desk = Desk::new("read_back");
    for detector in DETECTORS {
        let mut features = Vec::new();
        for ending in ["csv", "jsonl", "parquet"] {
            let (file, out) = (format!("{detector}.{ending}"), format!("{detector}-{ending}.csv"));
            simulate(&desk, detector, 3_000, &file);
            let ran = desk.ok(&format!("features --detector {detector} --in {file} --out {out} --json"));
            let counts = ran.json();
            assert_eq!((&counts["events"], &counts["rejected"]), (&3_000.into(), &0.into()), "{file}");
            assert_eq!((&counts["repeated"], &counts["late"]), (&0.into(), &0.into()), "{file}");
            features.push(desk.read(&out));
        }
        assert!(features.iter().all(|other| *other == features[0]), "{detector}: the formats differ");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let desk = Desk::new("same_bytes");
    for ending in ["csv", "jsonl", "parquet"] {
        for (seed, name) in [(1, "a"), (1, "b"), (2, "c")] {
            desk.ok(&format!("simulate --detector card --rows 5000 --seed {seed} --out {name}.{ending}"));
        }
        let file = |name: &str| desk.read(&format!("{name}.{ending}"));
        assert_eq!(file("a"), file("b"));
        assert_ne!(file("a"), file("c"));
    }
    let piped = desk.ok("simulate --detector card --rows 5000 --seed 1 --out -");
    assert_eq!(piped.out, desk.text("a.jsonl"));
}

#[test]
fn simulated_money_has_two_decimals_and_the_counts_are_right() {
    let desk = Desk::new("money");
    let made = desk.ok("simulate --detector card-handbook --rows 4000 --seed 9 --out a.csv --json").json();
    let text = desk.text("a.csv");
    let mut lines = text.lines();
    assert_eq!(
        lines.next().unwrap(),
        "transaction_id,tx_datetime,customer_id,terminal_id,tx_amount,tx_fraud,tx_fraud_scenario"
    );
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert!(rows.iter().all(|row| row[4].split_once('.').is_some_and(|(_, cents)| cents.len() == 2)));
    assert_eq!(made["rows"], rows.len());
    assert_eq!(made["frauds"], rows.iter().filter(|row| row[5] == "1").count());
    assert_eq!(made["first_time"], rows[0][1]);
}

#[test]
fn a_stream_of_days_starts_and_ends_where_it_should() {
    let desk = Desk::new("days");
    let made = desk.ok(
        "simulate --detector banking --days 2 --start 2024-02-28T12:00:00Z --customers 200 --out a.jsonl --json",
    );
    let made = made.json();
    assert!(made["first_time"].as_str().unwrap().starts_with("2024-02-28T1"));
    assert!(made["last_time"].as_str().unwrap() < "2024-03-01");
}

/// A file with everything that may go wrong in it, where a batch is cut or an entity is owned must not show.
#[test]
fn neither_batches_nor_shards_can_be_seen_in_what_is_written() {
    let desk = Desk::new("batches");
    simulate(&desk, "card", 6_000, "good.csv");
    let good = desk.text("good.csv");
    let mut lines: Vec<String> = good.lines().map(str::to_string).collect();
    lines[20] = lines[20].replacen("2018", "2058", 1);
    lines[21] = "broken".to_string();
    lines[500] = lines[500].replacen("2018", "2058", 1);
    lines.insert(700, lines[690].clone());
    lines.swap(1_000, 1_010);
    lines.swap(2_000, 5_000);
    desk.write("in.csv", lines.join("\n"));
    desk.ok("train --detector card --in good.csv --trees 20 --out card.model");
    let mut first: Option<[Vec<u8>; 3]> = None;
    for (batch, shards) in [(4_096, 1), (1, 1), (7, 1), (4_096, 2), (7, 4), (300, 4), (1, 2)] {
        let flow = format!("--detector card --in in.csv --batch {batch} --shards {shards}");
        desk.ok(&format!("replay {flow} --model card.model --out d.parquet --rejects r.jsonl"));
        desk.ok(&format!("features {flow} --out f.csv"));
        let written = [desk.read("d.parquet"), desk.read("r.jsonl"), desk.read("f.csv")];
        let expected = first.get_or_insert_with(|| written.clone());
        assert!(*expected == written, "--batch {batch} --shards {shards}");
    }
    let lines: Vec<u64> =
        desk.text("r.jsonl").lines().map(|line| entry(line)["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [21, 22, 501]);
    let ran = desk.ok("replay --detector card --in in.csv --json");
    let counts = ran.json();
    assert_eq!((&counts["rejected"], &counts["repeated"]), (&3.into(), &1.into()));
    assert!(counts["late"].as_u64().unwrap() + counts["too_late"].as_u64().unwrap() > 0);
}

fn entry(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap()
}

#[test]
fn a_model_scores_alike_in_replay_in_evaluation_and_from_a_matrix() {
    let desk = Desk::new("scores");
    simulate(&desk, "card", 30_000, "a.parquet");
    for algorithm in ["gbdt", "random-forest", "decision-tree"] {
        let trees = if algorithm == "decision-tree" { 1 } else { 15 };
        desk.ok(&format!(
            "train --detector card --in a.parquet --algorithm {algorithm} --trees {trees} --seed 5 \
             --train-from 2018-04-01 --train-to 2018-04-21 --out m.model"
        ));
        desk.ok("replay --detector card --model m.model --in a.parquet --out d.csv");
        desk.ok("features --detector card --in a.parquet --out f.csv");
        let scored = desk.ok("model score --model m.model --in f.csv").out;
        let replayed = desk.text("d.csv");
        let from_replay: Vec<&str> =
            replayed.lines().skip(1).map(|line| line.split(',').nth(4).unwrap()).collect();
        let numbers = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<f64>>();
        assert_eq!(numbers(&scored.lines().collect::<Vec<_>>()), numbers(&from_replay), "{algorithm}");
        desk.ok(
            "evaluate --detector card --model m.model --in a.parquet --from 2018-04-25 --save-scores s.csv",
        );
        let saved = desk.text("s.csv");
        for line in saved.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let row: usize = cells[0].parse().unwrap();
            assert_eq!(numbers(&[cells[1]]), numbers(&[from_replay[row]]), "{algorithm}, id {row}");
        }
    }
}

#[test]
fn the_same_training_gives_the_same_file() {
    let desk = Desk::new("same_model");
    simulate(&desk, "banking", 20_000, "a.jsonl");
    for name in ["a", "b"] {
        desk.ok(&format!("train --detector banking --in a.jsonl --trees 30 --seed 4 --out {name}.model"));
    }
    assert_eq!(desk.read("a.model"), desk.read("b.model"));
    let shown = desk.ok("model inspect a.model --json").json();
    assert_eq!((&shown["trees"], &shown["detector"]), (&30.into(), &"banking".into()));
    let shares: f64 =
        shown["importance"].as_array().unwrap().iter().map(|e| e["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9);
    assert!(desk.ok("model inspect a.model").out.contains("█"));
}

#[test]
fn training_stops_in_time_and_goes_on_from_there() {
    let desk = Desk::new("continued");
    simulate(&desk, "banking", 20_000, "a.csv");
    let on = "--detector banking --in a.csv";
    let trained = desk.ok(&format!(
        "train {on} --trees 150 --depth 6 --learning-rate 0.5 --early-stopping 5 --out a.model --json"
    ));
    let first = trained.json()["trees"].as_u64().unwrap();
    assert!(first < 150, "{first} trees");
    let options = "--continue-from a.model --trees 7 --monotone amount=+1 --growth leaf-wise --max-leaves 8";
    let continued = desk.ok(&format!("train {on} {options} --out b.model --json")).json();
    assert_eq!(continued["trees"].as_u64().unwrap(), first + 7);
    assert!(String::from_utf8(desk.read("b.model")).unwrap().contains("continued_from"));
}

#[test]
fn a_matrix_is_read_by_name_or_by_position_and_empty_cells_are_missing() {
    let desk = Desk::new("matrix");
    simulate(&desk, "ulb", 20_000, "a.csv");
    desk.ok("train --detector ulb --in a.csv --trees 10 --out m.model");
    desk.ok("features --detector ulb --in a.csv --out f.csv");
    let text = desk.text("f.csv");
    let cut: Vec<Vec<&str>> = text.lines().take(50).map(|line| line.split(',').skip(3).collect()).collect();
    let join = |rows: &[Vec<&str>]| rows.iter().map(|row| row.join(",") + "\n").collect::<String>();
    let reversed: Vec<Vec<&str>> = cut.iter().map(|row| row.iter().rev().copied().collect()).collect();
    desk.write("named.csv", join(&cut));
    desk.write("reversed.csv", join(&reversed));
    desk.write("bare.csv", join(&cut[1..]));
    let named = desk.ok("model score --model m.model --in named.csv --raw").out;
    assert_eq!(named.lines().count(), 49);
    for other in ["reversed.csv", "bare.csv"] {
        assert_eq!(desk.ok(&format!("model score --model m.model --in {other} --raw")).out, named, "{other}");
    }
    let columns = cut[0].len();
    desk.write("empty.csv", ",".repeat(columns - 1) + "\n");
    desk.write("nan.csv", vec!["NaN"; columns].join(",") + "\n");
    let of_empty = desk.ok("model score --model m.model --in empty.csv").out;
    assert_eq!(of_empty, desk.ok("model score --model m.model --in nan.csv").out);
    let margin: f64 = named.lines().next().unwrap().parse().unwrap();
    let score: f64 =
        desk.ok("model score --model m.model --in named.csv").out.lines().next().unwrap().parse().unwrap();
    assert_eq!(score, 1.0 / (1.0 + (-margin).exp()));
}

#[test]
fn pipes_carry_json_lines_both_ways() {
    let desk = Desk::new("pipes");
    simulate(&desk, "card", 500, "a.jsonl");
    desk.ok("replay --detector card --in a.jsonl --out d.jsonl");
    let ran = desk.pipe("replay --detector card --in - --out - --json", &desk.read("a.jsonl"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.out, desk.text("d.jsonl"));
    assert_eq!(entry(&ran.err)["events"], 500);
    let decision = entry(ran.out.lines().next().unwrap());
    for field in ["id", "event_time", "key", "amount", "outcome", "timeliness"] {
        assert!(!decision[field].is_null(), "{field} in {decision}");
    }
}

#[test]
fn columns_of_other_names_are_mapped() {
    let desk = Desk::new("columns");
    simulate(&desk, "card", 800, "a.csv");
    let renamed = desk.text("a.csv").replacen("tx_amount", "betrag", 1).replacen("customer_id", "karte", 1);
    desk.write("b.csv", renamed);
    let upper = desk.text("a.csv").replacen("tx_amount", "TX_AMOUNT", 1);
    desk.write("c.csv", upper);
    desk.ok("features --detector card --in a.csv --out fa.csv");
    desk.ok("features --detector card --in b.csv --out fb.csv --columns tx_amount=betrag,customer_id=karte");
    desk.ok("features --detector card --in c.csv --out fc.csv");
    assert_eq!(desk.text("fa.csv"), desk.text("fb.csv"));
    assert_eq!(desk.text("fa.csv"), desk.text("fc.csv"));
}

#[test]
fn scores_from_elsewhere_are_measured() {
    let desk = Desk::new("elsewhere");
    desk.write("s.csv", "label,score\n0,0.1\n1,0.9\n0,0.4\n1,0.35\n");
    let found = desk.ok("evaluate --scores s.csv --json").json();
    // scikit-learn: roc_auc_score 0.75, average_precision_score 0.8333.
    assert_eq!(found["auc_roc"], 0.75);
    assert!((found["average_precision"].as_f64().unwrap() - 5.0 / 6.0).abs() < 1e-12);
    assert!(desk.ok("evaluate --scores s.csv").out.contains("average precision"));
}
