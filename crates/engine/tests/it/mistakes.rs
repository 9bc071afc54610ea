//! What is said about wrong detector files. The cases stand in `tests/data/mistakes.txt`: a title, a file, and what is
//! said about it. `REDFLAG_UPDATE=1 cargo test -p engine` rewrites what is said; read the difference.

use std::fmt::Write as _;
use std::path::Path;

use engine::Detector;

/// Appended to a case that does not bring its own.
const EVENT: &str = "[event]\nid = \"id\"\ntime = \"t\"\namount = \"sum\"\nkey = \"card\"\nlabel = \"fraud\"\n\
    [event.fields]\nshop = \"id\"\nkind = \"category\"\nrisk = { type = \"number\", optional = true }\nnew = \"bool\"\n";
const FEATURE: &str = "[[feature]]\nname = \"base\"\nexpression = \"amount\"\n";

fn complete(case: &str) -> String {
    let mut text = case.to_string();
    if !case.contains("event") {
        text.push_str(EVENT);
    }
    if !case.contains("feature") {
        text.push_str(FEATURE);
    }
    text
}

fn said_about(case: &str) -> String {
    match Detector::parse(&complete(case)) {
        Ok(_) => "nothing is wrong\n".to_string(),
        Err(mistakes) => mistakes.iter().fold(String::new(), |mut said, mistake| {
            writeln!(said, "{}:{} {}", mistake.line, mistake.column, mistake.message).unwrap();
            if let Some(hint) = &mistake.hint {
                writeln!(said, "    {hint}").unwrap();
            }
            said
        }),
    }
}

#[test]
fn every_mistake_is_said_with_its_place() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mistakes.txt");
    let cases = std::fs::read_to_string(&path).unwrap();
    let mut updated = String::new();
    for case in cases.split_inclusive("\n\n") {
        let (title, rest) = case.split_once('\n').unwrap();
        assert!(title.starts_with("# "), "a case starts with a title: {case}");
        let (text, _) = rest.split_once("--\n").unwrap();
        write!(updated, "{title}\n{text}--\n{}\n", said_about(text)).unwrap();
    }
    if std::env::var_os("REDFLAG_UPDATE").is_some() {
        std::fs::write(&path, updated).unwrap();
    } else if cases != updated {
        let different = cases.lines().zip(updated.lines()).find(|(old, new)| old != new);
        panic!("expected and said differ first in {different:?}; REDFLAG_UPDATE=1 accepts all");
    }
}

#[test]
fn a_file_that_is_too_long_is_refused_unread() {
    let mistakes = Detector::parse(&"#".repeat(2_000_000)).unwrap_err();
    assert_eq!(mistakes[0].message, "the file has 2000000 bytes, more than 1048576");
}
