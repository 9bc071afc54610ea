//! `redflag model explain`: what it prints adds up, and what it refuses.

use super::desk::Desk;

fn numbers(line: &str) -> Vec<f64> {
    line.split(',').map(|cell| cell.parse().unwrap()).collect()
}

fn trained(test: &str) -> Desk {
    let desk = Desk::new(test);
    desk.ok("simulate --detector card-handbook --rows 8000 --seed 3 --out a.csv");
    desk.ok("train --detector card-handbook --in a.csv --trees 20 --out m.model");
    desk.ok("features --detector card-handbook --in a.csv --out f.csv");
    let features = desk.text("f.csv");
    let head = |rows: usize| features.lines().take(rows + 1).collect::<Vec<_>>().join("\n");
    desk.write("rows.csv", head(50));
    desk.write("background.csv", head(20));
    desk
}

#[test]
fn contributions_add_up_to_the_margin() {
    let desk = trained("explain");
    let margins = desk.ok("model score --model m.model --in rows.csv --raw").out;
    let margins: Vec<f64> = margins.lines().map(|line| line.parse().unwrap()).collect();
    for method in ["", "--background background.csv"] {
        let table = desk.ok(&format!("model explain --model m.model --in rows.csv {method}")).out;
        let mut lines = table.lines();
        let features = lines.next().unwrap().strip_prefix("expected,").unwrap();
        assert!(desk.text("rows.csv").lines().next().unwrap().ends_with(&format!(",{features}")));
        let sums: Vec<f64> = lines.map(|line| numbers(line).iter().sum()).collect();
        assert_eq!(sums.len(), margins.len());
        for (sum, margin) in sums.iter().zip(&margins) {
            assert!((sum - margin).abs() < 1e-12, "{sum} against {margin} {method}");
        }
        let json = desk.ok(&format!("model explain --model m.model --in rows.csv {method} --json")).out;
        for (line, margin) in json.lines().zip(&margins) {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(row["contributions"].as_object().unwrap().len(), features.split(',').count());
            assert!((row["margin"].as_f64().unwrap() - margin).abs() < 1e-12);
        }
    }
}

#[test]
fn a_model_without_covers_asks_for_a_background() {
    let desk = trained("explain_without_covers");
    let mut model: serde_json::Value = serde_json::from_str(&desk.text("m.model")).unwrap();
    for tree in model["forest"]["trees"].as_array_mut().unwrap() {
        tree["nodes"].as_array_mut().unwrap().iter_mut().for_each(|node| node["cover"] = 0.into());
    }
    desk.write("m.model", model.to_string());
    let refused = desk.run("model explain --model m.model --in rows.csv");
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("--background"), "{}", refused.err);
    desk.ok("model explain --model m.model --in rows.csv --background background.csv");
}
