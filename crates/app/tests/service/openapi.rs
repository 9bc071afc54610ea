//! The document that describes the service, and whether it tells the truth.

use std::collections::HashSet;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

use super::process::{Setup, folder, succeed};

/// Every door of the service.
const DOORS: [(&str, &str); 20] = [
    ("/v1/transactions", "post"),
    ("/v1/transactions/batch", "post"),
    ("/v1/decisions", "get"),
    ("/v1/decisions/{id}", "get"),
    ("/v1/decisions/{id}/reasons", "get"),
    ("/v1/entities/{kind}/{id}", "get"),
    ("/v1/labels", "post"),
    ("/v1/models", "get"),
    ("/v1/models/{id}/promote", "post"),
    ("/v1/stats", "get"),
    ("/v1/health", "get"),
    ("/v1/live", "get"),
    ("/healthz", "get"),
    ("/readyz", "get"),
    ("/predict", "post"),
    ("/v1/generate", "post"),
    ("/v1/generate", "get"),
    ("/v1/generate/{id}", "get"),
    ("/v1/generate/{id}", "delete"),
    ("/generate", "post"),
];

/// Asked for once: tests run side by side, and a folder is one test's.
fn document() -> Value {
    static DOCUMENT: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(&succeed(&folder("openapi"), "openapi")).unwrap());
    DOCUMENT.clone()
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().clone();
        let path = path.clone();
        methods
            .into_iter()
            .map(move |(method, operation)| (path.clone(), method, operation))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

#[test]
fn it_is_a_document_of_openapi_3_1() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut names = HashSet::new();
    for (path, method, operation) in operations(&document) {
        assert!(
            path.starts_with('/') && ["get", "post", "patch", "put", "delete"].contains(&method.as_str())
        );
        assert!(
            names.insert(operation["operationId"].as_str().unwrap().to_string()),
            "{path}: its name is taken"
        );
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.values().all(|response| response["description"].is_string()), "{path}");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let placeholders = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        for name in placeholders {
            let declared = |parameter: &Value| parameter["name"] == name && parameter["in"] == "path";
            assert!(parameters.iter().any(declared), "{path}: {name} is not declared");
        }
    }
    assert_references_lead_somewhere(&document, &document);
}

fn assert_references_lead_somewhere(part: &Value, document: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
                assert!(target.is_some(), "{reference} leads nowhere");
            }
            members.values().for_each(|member| assert_references_lead_somewhere(member, document));
        }
        Value::Array(items) => items.iter().for_each(|item| assert_references_lead_somewhere(item, document)),
        _ => {}
    }
}

#[test]
fn it_has_every_door_and_every_door_is_there() {
    let document = document();
    let described: HashSet<(String, String)> =
        operations(&document).into_iter().map(|(path, method, _)| (path, method)).collect();
    for (path, method) in DOORS {
        assert!(
            described.contains(&(path.to_string(), method.to_string())),
            "{method} {path} is not described"
        );
    }
    let service = Setup::new(&folder("openapi_doors").join("data")).start();
    let mut client = service.client();
    assert_eq!(client.get("/openapi.json").ok().json(), document, "the service tells the same");
    for (path, method) in described {
        let answer = client.send("TRACE", &path, b"").unwrap();
        let allowed = answer.header("allow").unwrap_or_default().to_ascii_lowercase();
        assert!(answer.status == 405 && allowed.contains(&method), "{method} {path}: {answer:?}");
    }
    service.stop();
}

#[test]
fn the_page_is_made_for_this_document() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/openapi.json");
    let known: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(known == document(), "web/openapi.json is not what `redflag openapi` prints: run `make types`");
}
