//! What the binary says to those who hold it wrong, and with which exit code.

use super::desk::Desk;

#[test]
fn wrong_usage_is_exit_code_two_and_says_what_was_expected() {
    let desk = Desk::new("usage");
    desk.ok("simulate --detector card-handbook --rows 3000 --out a.csv");
    desk.ok("train --detector card-handbook --in a.csv --trees 3 --out m.model");
    desk.write("short.csv", "transaction_id,tx_datetime\n1,2018-04-01\n");
    desk.write("one_class.csv", "score,label\n0.1,0\n0.2,0\n");
    desk.write("bad_scores.csv", "score,label\nhigh,0\n");
    desk.write("matrix.csv", "amount,is_night\n1,0\n");
    desk.write("text.model", "not a model");
    let on = "--detector card-handbook --in a.csv";
    let cases = [
        ("simulate --detector nobody --rows 1 --out x.csv", "no simulator for detector `nobody`"),
        ("simulate --detector card --out x.csv", "give --rows or --days"),
        ("simulate --detector card --rows 5 --out x.xlsx", "must be .csv, .jsonl, .ndjson or .parquet"),
        ("simulate --detector card --rows 5 --start tomorrow --out x.csv", "expected RFC 3339 or a date"),
        ("simulate --detector card --rows 5 --customers 0 --out x.csv", "at least one of `customers`"),
        ("features --detector nobody --in a.csv --out x.csv", "no detector `nobody`"),
        ("features --detector card-handbook --in absent.csv --out x.csv", "cannot open absent.csv"),
        ("features --detector card-handbook --in short.csv --out x.csv", "lacks the columns `tx_amount`"),
        ("features --detector card --in a.csv --out x.csv --columns nofield=a", "has no field `nofield`"),
        ("replay --detector card-handbook --in a.csv --batch 0", "--batch"),
        ("replay --detector card --in a.csv --model m.model", "the model was trained on the feature list"),
        ("replay --detector card-handbook --in a.csv --model text.model", "is not a redflag model"),
        (
            &format!("train {on} --engine torch --out x.model"),
            "[possible values: builtin, xgboost, lightgbm,",
        ),
        (
            &format!("train {on} --balance smotee --out x.model"),
            "expected none, weights, or one of under, smote,",
        ),
        (&format!("train {on} --balance smote:0.9 --out x.model"), "a share of frauds from 0.0001 to 0.5"),
        (&format!("train {on} --review-recall 1.5 --out x.model"), "above 0 and at most 1, as 0.99"),
        (&format!("train {on} --trees 0 --out x.model"), "trees: expected 1 to 100000"),
        (
            &format!("train {on} --max-depth 40 --out x.model"),
            "max_depth: expected 1 to 12 for boosting, got 40",
        ),
        (&format!("train {on} --monotone amount=up --out x.model"), "expected a feature and +1 or -1"),
        (&format!("train {on} --categorical colour --out x.model"), "there is no column \"colour\""),
        (&format!("train {on} --max-leaves 8 --out x.model"), "max_leaves: expected none, or 2 to 4096 if"),
        (&format!("train {on} --continue-from text.model --out x.model"), "is not a redflag model"),
        (
            &format!("train {on} --train-from 2030-01-01 --out x.model"),
            "has no labelled transactions from 2030",
        ),
        (
            &format!("train {on} --train-from 2018-04-02 --train-to 2018-04-01 --out x.model"),
            "--train-to is 2018-04-01T00:00:00Z: expected a time after --train-from",
        ),
        (&format!("evaluate {on} --model absent.model"), "cannot read model absent.model"),
        (&format!("evaluate {on} --model m.model"), "has no labelled transactions"),
        (
            &format!("evaluate {on} --model m.model --from 2018-04-02 --to 2018-04-09 --protocol handbook"),
            "that is a leak",
        ),
        ("evaluate --scores one_class.csv", "all 2 rows are genuine"),
        ("evaluate --scores bad_scores.csv", "line 2: score is \"high\", expected a number"),
        ("evaluate", "--detector"),
        ("model score --model m.model --in matrix.csv", "lacks the features is_weekend"),
    ];
    for (arguments, expected) in cases {
        let ran = desk.run(arguments);
        assert_eq!(ran.code, 2, "{arguments}: {ran:?}");
        assert!(ran.err.contains(expected), "{arguments}: {ran:?}");
        assert_eq!(ran.out, "", "{arguments}");
    }
    assert!(
        !desk.files().iter().any(|name| name.starts_with('x') || name.ends_with(".partial")),
        "{:?}",
        desk.files()
    );
}

#[test]
fn every_command_has_help_with_an_example() {
    let desk = Desk::new("help");
    let commands = [
        "simulate",
        "features",
        "replay",
        "train",
        "evaluate",
        "model inspect",
        "model score",
        "bench engine",
    ];
    for command in commands {
        let help = desk.ok(&format!("{command} --help")).out;
        assert!(
            help.contains("Example") && help.contains(&format!("redflag {command}")),
            "{command}: {help}"
        );
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let desk = Desk::new("closed_pipe");
    let binary = env!("CARGO_BIN_EXE_redflag");
    let script = format!("set -o pipefail; {binary} simulate --detector card --out - | head -n 2");
    let output =
        std::process::Command::new("bash").args(["-c", &script]).current_dir(desk.path("")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let desk = Desk::new("closed_pipe");
    desk.ok("simulate --detector card-handbook --rows 3000 --out a.csv");
    desk.ok("train --detector card-handbook --in a.csv --trees 3 --out m.model");
    for arguments in ["model inspect m.model", "openapi", "detector show card"] {
        let ran = desk.run_unread(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments}");
    }
}
