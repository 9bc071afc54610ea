//! Rows that are wrong are told with their line, kept for whoever mends them, and stop nothing.

use super::desk::Desk;

const GOOD: [&str; 6] = ["7", "2018-04-01T00:00:31Z", "12.50", "c1", "t1", "0"];

/// A row with one cell replaced.
fn row(id: usize, cell: usize, value: &str) -> Vec<String> {
    let mut cells = GOOD.map(str::to_string).to_vec();
    cells[0] = id.to_string();
    cells[cell] = value.to_string();
    cells
}

/// Which cell is replaced by what, and what the answer must say.
const WRONG: [(usize, &str, &str); 7] = [
    (1, "yesterday", "tx_datetime"),
    (2, "-1.00", "tx_amount"),
    (2, "NaN", "tx_amount"),
    (2, "1e20", "tx_amount"),
    (2, "", "tx_amount"),
    (3, "", "customer_id"),
    (5, "maybe", "tx_fraud"),
];

fn listed(desk: &Desk) -> Vec<(u64, String)> {
    let text = desk.text("rejects.jsonl");
    let entries = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    entries
        .map(|e| (e["line"].as_u64().unwrap(), e["errors"][0]["field"].as_str().unwrap().to_string()))
        .collect()
}

#[test]
fn csv_rows_are_rejected_by_line() {
    let desk = Desk::new("wrong_csv");
    let mut text = "transaction_id,tx_datetime,tx_amount,customer_id,terminal_id,tx_fraud\n".to_string();
    let mut expected = Vec::new();
    for (index, (cell, value, field)) in WRONG.iter().enumerate() {
        text += &(row(100 + index, 2, "3.00").join(",") + "\n");
        text += &(row(200 + index, *cell, value).join(",") + "\n");
        expected.push((3 + 2 * index as u64, field.to_string()));
    }
    // A cell with a line break moves the lines behind it, and a row may be short.
    text += "300,2018-04-01T00:00:31Z,1.00,\"c\n1\",t1,0\n301,2018-04-01T00:00:31Z,1.00\n302,2018-04-01T00:00:31Z,1,c,t,0\n";
    expected.push((16, "customer_id".to_string()));
    expected.push((18, String::new()));
    desk.write("in.csv", text);
    let ran =
        desk.ok("features --detector card-handbook --in in.csv --out f.csv --rejects rejects.jsonl --json");
    assert_eq!(listed(&desk), expected);
    assert_eq!((&ran.json()["events"], &ran.json()["rejected"]), (&8.into(), &9.into()));
    assert!(
        ran.err.contains("line 3: tx_datetime is \"yesterday\": expected an RFC 3339 time"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("and 4 more rejected rows"), "{}", ran.err);
    assert!(
        desk.text("rejects.jsonl").lines().next().unwrap().contains(r#""raw":"200,yesterday,12.50,c1,t1,0""#)
    );
}

#[test]
fn json_lines_are_rejected_by_line() {
    let desk = Desk::new("wrong_jsonl");
    let good = |id: &str| {
        format!(
            r#"{{"transaction_id":{id},"tx_datetime":"2018-04-01T00:00:31Z","tx_amount":1.5,"customer_id":"c","terminal_id":4,"tx_fraud":0}}"#
        )
    };
    let lines = [
        good("1"),
        String::new(),
        good("2").replace("1.5", "\"1.5\""),
        "{\"transaction_id\": 3".to_string(),
        "[1, 2]".to_string(),
        good("null"),
        good("4").replace("\"c\"", "{\"a\": 1}"),
        good("5").replace("\"tx_amount\":1.5,", "\"tx_amount\":1.5,\"tx_amount\":2,"),
        good("6"),
    ];
    desk.write("in.jsonl", lines.join("\n"));
    let ran =
        desk.ok("features --detector card-handbook --in in.jsonl --out f.csv --rejects rejects.jsonl --json");
    let fields =
        [(3, "tx_amount"), (4, ""), (5, ""), (6, "transaction_id"), (7, "customer_id"), (8, "tx_amount")];
    assert_eq!(listed(&desk), fields.map(|(line, field)| (line, field.to_string())));
    assert_eq!(ran.json()["events"], 2);
}

#[test]
fn parquet_rows_are_rejected_by_row() {
    let desk = Desk::new("wrong_parquet");
    // A detector whose amount is a plain number writes the Parquet file that the next one finds fault with.
    desk.write(
        "writer.toml",
        "name = \"writer\"\n[event]\nid = \"no\"\ntime = \"tx_datetime\"\namount = \"one\"\nas_features = [\"tx_amount\"]\n\
         [event.fields]\ntx_amount = { type = \"number\", optional = true }\n",
    );
    desk.write("reader.toml", "name = \"reader\"\n[event]\nid = \"no\"\ntime = \"tx_datetime\"\namount = \"tx_amount\"\nas_features = [\"tx_amount\"]\n");
    let cell = |row: usize| match row {
        3 => "-5",
        9_000 => "",
        _ => "2.5",
    };
    let rows: String = (1..=10_000).map(|row| format!("{row},2018-04-01,1,{}\n", cell(row))).collect();
    desk.write("in.csv", format!("no,tx_datetime,one,tx_amount\n{rows}"));
    desk.ok("features --detector writer.toml --in in.csv --out in.parquet");
    let ran =
        desk.ok("replay --detector reader.toml --in in.parquet --out d.csv --rejects rejects.jsonl --json");
    assert_eq!(listed(&desk), [(3, "tx_amount".to_string()), (9_000, "tx_amount".to_string())]);
    assert_eq!(ran.json()["events"], 9_998);
}

#[test]
fn a_file_without_one_good_row_is_a_failure_and_leaves_nothing_behind() {
    let desk = Desk::new("nothing_good");
    desk.write("in.csv", "transaction_id,tx_datetime,tx_amount,customer_id,terminal_id\n1,x,1,c,t\n");
    let ran = desk.run("features --detector card-handbook --in in.csv --out f.parquet");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("no event was read, 1 rows were rejected"), "{}", ran.err);
    assert_eq!(desk.files(), ["in.csv"]);
}

#[test]
fn events_without_ids_are_numbered_if_none_has_one() {
    let desk = Desk::new("numbered");
    let event = |id: &str| {
        format!(r#"{{{id}"tx_datetime":"2018-04-01","tx_amount":1,"customer_id":"c","terminal_id":"t"}}"#)
    };
    desk.write("in.jsonl", [event(""), event(""), event("\"transaction_id\":9,")].join("\n"));
    let ran = desk.ok("replay --detector card-handbook --in in.jsonl --out d.jsonl");
    assert!(ran.err.contains("line 3: transaction_id is an id: expected none"), "{}", ran.err);
    let ids: Vec<String> = desk.text("d.jsonl").lines().map(|line| line[..9].to_string()).collect();
    assert_eq!(ids, ["{\"id\":\"1\"", "{\"id\":\"2\""]);
}
