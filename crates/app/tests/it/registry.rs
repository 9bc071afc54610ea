//! `redflag model register|list|show|promote|rollback|diff`: what is kept, who decides, and what is refused.

use serde_json::Value;

use super::desk::{Desk, Ran};

const SIGNED: &str = "--by tester --reason because";

/// A desk with history and models of so many trees, which are registered; and their ids.
fn desk<const MODELS: usize>(test: &str, trees: [u32; MODELS]) -> (Desk, [String; MODELS]) {
    let desk = Desk::new(test);
    desk.ok("simulate --detector card-handbook --rows 6000 --customers 300 --out a.csv");
    let models = trees.map(|trees| {
        let out = format!("--trees {trees} --out {trees}.model --register --json");
        let done = desk.ok(&format!("train --detector card-handbook --in a.csv {out}")).json();
        done["model"].as_str().unwrap().to_string()
    });
    (desk, models)
}

fn refused(ran: &Ran, told: &str) {
    assert!(ran.code == 2 && ran.err.contains(told), "expected {told}: {ran:?}");
}

fn roles(desk: &Desk) -> Vec<(String, String)> {
    let listed = desk.ok("model list --json").json();
    let role = |model: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_string();
        (text(&model["facts"]["model_id"]), text(&model["role"]))
    };
    listed["models"].as_array().unwrap().iter().map(role).collect()
}

fn role(model: &str, role: &str) -> (String, String) {
    (model.to_string(), role.to_string())
}

#[test]
fn what_is_done_to_a_model_is_listed_shown_and_undone() {
    let (desk, [a, b]) = desk("registry", [2, 3]);
    assert_eq!(desk.files(), ["2.model", "3.model", "a.csv", "redflag-data"]);
    let again = desk.ok("model register --model 2.model --json").json();
    assert_eq!((&again["model"], &again["new"]), (&a.clone().into(), &false.into()));
    desk.ok(&format!("model promote {a} {SIGNED}"));
    desk.ok(&format!("model promote {b} --as challenger {SIGNED}"));
    assert_eq!(roles(&desk), [role(&a, "champion"), role(&b, "challenger")]);
    let beginning = &b[..b.len() - 3];
    desk.ok(&format!("model promote {beginning} {SIGNED}"));
    assert_eq!(roles(&desk), [role(&b, "champion"), role(&a, "registered")]);
    let back = desk.ok(&format!("model rollback --detector card-handbook {SIGNED} --json")).json();
    assert_eq!((&back["model"], &back["from"]), (&a.clone().into(), &b.clone().into()));
    assert_eq!(roles(&desk), [role(&a, "champion"), role(&b, "registered")]);

    let shown = desk.ok(&format!("model show {b} --json")).json();
    let steps: Vec<&str> =
        shown["history"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["challenger", "champion", "rollback"]);
    let (facts, history) = (&shown["facts"], &shown["history"][1]);
    assert_eq!((&history["by"], &history["reason"]), (&"tester".into(), &"because".into()));
    assert_eq!((facts["rows"].as_u64(), facts["data"].as_str()), (Some(6_000), Some("a.csv")));
    assert_eq!(facts["data_fingerprint"].as_str().unwrap().len(), 16);
    assert!(facts["growing_s"].as_f64().unwrap() > 0.0 && facts["made_at"].as_str().unwrap().ends_with('Z'));
    let text = desk.ok(&format!("model show {b}")).out;
    assert!(text.contains("by tester: because") && text.contains("parameters.trees"), "{text}");
    let table = desk.ok("model list --detector card-handbook").out;
    assert_eq!(table.lines().count(), 3, "{table}");
}

#[test]
fn a_diff_says_what_differs_and_nothing_else() {
    let (desk, [a, b]) = desk("registry_diff", [2, 4]);
    let found = desk.ok(&format!("model diff {a} {b} --json")).json();
    let differences = found["differences"].as_array().unwrap();
    let named = |name: &str| differences.iter().find(|one| one["name"] == name);
    assert_eq!(named("parameters.trees").unwrap()["b"], "4", "{found}");
    assert_eq!(named("trees").unwrap()["a"], "2");
    assert!(named("data_fingerprint").is_none() && named("feature_fingerprint").is_none(), "{found}");
    assert!(differences.iter().any(|one| one["name"].as_str().unwrap().starts_with("features.")), "{found}");
    let same = desk.ok("model diff 2.model 2.model").out;
    assert_eq!(same, "nothing differs\n");
    let text = desk.ok(&format!("model diff 2.model {b}")).out;
    assert!(text.lines().next().unwrap().contains("2.model"), "{text}");
}

#[test]
fn what_cannot_be_is_refused_with_a_word_about_it() {
    let (desk, [a, b]) = desk("registry_refusals", [2, 3]);
    refused(&desk.run(&format!("model promote nobody {SIGNED}")), "no model's id begins with \"nobody\"");
    refused(&desk.run(&format!("model promote gbdt {SIGNED}")), "is the beginning of several models");
    refused(&desk.run(&format!("model rollback --detector card-handbook {SIGNED}")), "no champion before");
    refused(&desk.run(&format!("model promote {a} --as retired {SIGNED}")), "no challenger");
    refused(&desk.run(&format!("model promote {a} --by tester --reason  ")), "--reason");
    refused(&desk.run(&format!("model promote {a} --detector card {SIGNED}")), "is for `card-handbook`");
    let detector = include_str!("../../../../detectors/card-handbook.toml");
    desk.write("other.toml", detector.replace("as_features = [\"amount\"]", ""));
    let misfit = desk.run(&format!("model promote {a} --detector other.toml {SIGNED}"));
    refused(&misfit, "was trained on the feature list");
    refused(&desk.run("model list --registry absent"), "--registry is absent: there is no such folder");
    refused(&desk.run("model register --model a.csv"), "is not a redflag model");
    desk.ok(&format!("model promote {a} {SIGNED}"));
    refused(&desk.run(&format!("model promote {a} {SIGNED}")), "is the champion already");
    refused(&desk.run(&format!("model promote {a} --as challenger {SIGNED}")), "is the champion: promote");
    // Another model under an id that is taken.
    let text = String::from_utf8(desk.read("3.model")).unwrap();
    desk.write("forged.model", text.replace(&b, &a));
    refused(&desk.run("model register --model forged.model"), "the registry has another model");
    assert_eq!(roles(&desk), [role(&a, "champion"), role(&b, "registered")], "nothing of it was done");
}

/// Promotes models from as many processes, and expects each in the history once.
fn promote_at_once(desk: &Desk, models: &[String], registry: &str) {
    let command =
        |model: &String| format!("model promote {model} --as challenger --registry {registry} {SIGNED}");
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            models.iter().map(|model| scope.spawn(move || desk.ok(&command(model)))).collect();
        threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    });
    let listed = desk.ok(&format!("model list --registry {registry} --json")).json();
    let listed = listed["models"].as_array().unwrap();
    assert!(listed.iter().all(|model| model["role"] == "challenger"), "{listed:?}");
    let mut numbers: Vec<u64> =
        listed.iter().map(|model| model["promotion"]["number"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=models.len() as u64).collect::<Vec<_>>());
}

#[test]
fn promotions_that_come_at_once_are_all_kept() {
    let (desk, models) = desk("registry_at_once", [1, 2, 3, 4, 5, 6]);
    promote_at_once(&desk, &models, "redflag-data/models");
}

#[test]
fn a_bucket_keeps_models_as_a_folder_does() {
    let Ok(bucket) = std::env::var("S3_BUCKET") else {
        println!("NOT RUN: the registry in a bucket: S3_BUCKET is not set (scripts/s3 start)");
        return;
    };
    let (desk, models) = desk("registry_bucket", [1, 2, 3]);
    let registry = format!("{bucket}/registry-{}", std::process::id());
    for file in ["1.model", "2.model", "3.model"] {
        desk.ok(&format!("model register --model {file} --registry {registry}"));
    }
    promote_at_once(&desk, &models, &registry);
    let shown = desk.ok(&format!("model show {} --registry {registry} --json", models[0])).json();
    assert_eq!(shown["role"], "challenger");
}
