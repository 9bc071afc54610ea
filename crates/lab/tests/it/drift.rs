//! The population stability index against numpy (fixtures/drift/make_fixture.py).

use lab::drift::Distribution;
use serde_json::Value;

fn values(of: &Value) -> Vec<f64> {
    of.as_array().unwrap().iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

#[test]
fn bins_and_index_agree_with_numpy() {
    let cases: Value = serde_json::from_str(include_str!("../fixtures/drift/expected.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let name = &case["name"];
        let before = Distribution::of(&values(&case["before"]));
        assert_eq!(before.edges, values(&case["edges"]), "{name}");
        let shift = before.shift_to(&values(&case["now"]));
        let expected = case["psi"].as_f64().unwrap();
        assert!((shift.psi - expected).abs() < 1e-12, "{name}: {} is not {expected}", shift.psi);
        assert!((shift.unseen - case["unseen"].as_f64().unwrap()).abs() < 1e-12, "{name}");
        let shares: f64 = shift.now.shares().iter().sum();
        assert!((shares + shift.now.missing_share() - 1.0).abs() < 1e-12, "{name}");
    }
}
