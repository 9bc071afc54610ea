//! The heads of the ULB and PaySim sets, as they are published. The data is not part of the repository.

use super::desk::{Desk, shared_data};

#[test]
fn the_ulb_set_is_read_as_it_is() {
    let Some(path) = shared_data("ulb_head_7972.parquet") else { return };
    let desk = Desk::new("ulb");
    let counts =
        desk.ok(&format!("features --detector ulb --in {} --out f.csv --json", path.display())).json();
    assert_eq!((&counts["events"], &counts["rejected"]), (&7_972.into(), &0.into()));
    let text = desk.text("f.csv");
    assert_eq!(text.lines().filter(|line| line.split(',').nth(2) == Some("1")).count(), 25);
    assert!(text.lines().nth(1).unwrap().starts_with("1,2013-09-01T00:00:00Z,0,"));
}

#[test]
fn the_paysim_set_is_read_as_it_is() {
    let Some(path) = shared_data("paysim_first19999.csv") else { return };
    let desk = Desk::new("paysim");
    let counts =
        desk.ok(&format!("features --detector paysim --in {} --out f.csv --json", path.display())).json();
    assert_eq!(
        (&counts["events"], &counts["rejected"], &counts["late"]),
        (&19_999.into(), &0.into(), &0.into())
    );
    let text = desk.text("f.csv");
    assert_eq!(text.lines().filter(|line| line.split(',').nth(3) == Some("1")).count(), 81);
}
