//! Which roles each door is open to, and what of it is noted: the one place that says so.

use axum::http::Method;

use super::role::{Role, Roles};

/// Who may use a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Least {
    /// Everybody.
    Nothing,
    /// Whoever has one of these roles.
    One(Roles),
}

/// A door: a method at a path.
#[derive(Debug, PartialEq, Eq)]
pub struct Door {
    /// The method.
    pub method: Method,
    /// The path, with `{}` for what varies.
    pub path: &'static str,
    /// Who may use it.
    pub least: Least,
    /// What its use is called in the audit log; `None` if it is not noted: what comes in is in the log of decisions, and
    /// figures are nobody's.
    pub action: Option<&'static str>,
}

impl Door {
    /// Whether it only shows something.
    pub fn is_reading(&self) -> bool {
        self.method == Method::GET
    }
}

const OPEN: Least = Least::Nothing;
const ANY: Least = Least::One(Roles::ANY);
const INGEST: Least = Least::One(Roles::INGEST);
/// Labels come from systems and from those who look into cases.
const LABELS: Least = Least::One(Roles::ANALYST.and(Role::Ingest));
const ANALYST: Least = Least::One(Roles::ANALYST);
const ENGINEER: Least = Least::One(Roles::ENGINEER);
const ADMIN: Least = Least::One(Roles::ADMIN);

const fn get(path: &'static str, least: Least, action: Option<&'static str>) -> Door {
    Door { method: Method::GET, path, least, action }
}

const fn post(path: &'static str, least: Least, action: Option<&'static str>) -> Door {
    Door { method: Method::POST, path, least, action }
}

const fn other(method: Method, path: &'static str, least: Least, action: Option<&'static str>) -> Door {
    Door { method, path, least, action }
}

/// Every door. The most used ones come first: they are looked up from the beginning.
pub static DOORS: &[Door] = &[
    post("/v1/transactions", INGEST, None),
    post("/v1/transactions/batch", INGEST, None),
    post("/predict", INGEST, None),
    post("/v1/labels", LABELS, None),
    get("/v1/stats", ANALYST, None),
    get("/metrics", ANY, None),
    get("/v1/live", ANALYST, Some("live.watch")),
    get("/v1/decisions", ANALYST, Some("decision.list")),
    get("/v1/decisions/{}", ANALYST, Some("decision.read")),
    get("/v1/decisions/{}/reasons", ANALYST, Some("decision.read")),
    get("/v1/decisions/{}/contributions", ANALYST, Some("decision.read")),
    post("/v1/decisions/{}/replay", ANALYST, Some("decision.replay")),
    post("/v1/decisions/{}/what-if", ANALYST, Some("decision.what-if")),
    get("/v1/detector", ANALYST, None),
    get("/v1/activity", ANALYST, None),
    get("/v1/alerts", ANALYST, Some("alert.list")),
    post("/v1/alerts/next", ANALYST, Some("alert.next")),
    get("/v1/alerts/{}", ANALYST, Some("alert.read")),
    other(Method::PATCH, "/v1/alerts/{}", ANALYST, Some("alert.change")),
    get("/v1/entities/{}/{}", ANALYST, Some("entity.read")),
    get("/v1/health", ANALYST, None),
    get("/v1/rejections", ANALYST, Some("rejection.list")),
    get("/v1/models", ANALYST, None),
    get("/v1/models/performance", ANALYST, None),
    get("/v1/models/drift", ANALYST, None),
    post("/v1/erasures", ADMIN, Some("erasure")),
    get("/v1/retraining", ANALYST, None),
    post("/v1/retraining/runs", ENGINEER, Some("retraining.start")),
    post("/v1/retraining/runs/{}/cancel", ENGINEER, Some("retraining.cancel")),
    post("/v1/retraining/runs/{}/approve", ENGINEER, Some("retraining.approve")),
    post("/v1/models/{}/promote", ENGINEER, Some("model.promote")),
    get("/v1/rules", ANALYST, None),
    post("/v1/rules/backtest", ENGINEER, Some("rule.backtest")),
    other(Method::PUT, "/v1/rules/{}", ENGINEER, Some("rule.put")),
    post("/v1/rules/{}/stage", ENGINEER, Some("rule.stage")),
    get("/v1/lists/{}", ANALYST, Some("list.read")),
    other(Method::PUT, "/v1/lists/{}", ENGINEER, Some("list.put")),
    post("/v1/lists/{}/drop", ENGINEER, Some("list.drop")),
    // Who looks into a case puts the card on a list.
    post("/v1/lists/{}/entries", ANALYST, Some("list.enlist")),
    post("/v1/lists/{}/removals", ANALYST, Some("list.delist")),
    other(Method::PUT, "/v1/policy", ENGINEER, Some("policy.put")),
    get("/v1/rulebooks", ANALYST, None),
    post("/v1/rulebooks", ENGINEER, Some("rulebook.set")),
    post("/v1/rulebooks/check", ENGINEER, Some("rulebook.check")),
    get("/v1/rulebooks/{}", ENGINEER, Some("rulebook.read")),
    post("/v1/rulebooks/{}/restore", ENGINEER, Some("rulebook.restore")),
    get("/v1/generators", ENGINEER, None),
    get("/v1/generate", ENGINEER, None),
    post("/v1/generate", ENGINEER, Some("generate.start")),
    post("/generate", ENGINEER, Some("generate.start")),
    post("/v1/generate/report", ENGINEER, Some("generate.report")),
    get("/v1/generate/{}", ENGINEER, None),
    other(Method::DELETE, "/v1/generate/{}", ENGINEER, Some("generate.cancel")),
    get("/v1/audit", ADMIN, Some("audit.read")),
    get("/v1/me", ANY, None),
    post("/v1/session", OPEN, Some("session.open")),
    other(Method::DELETE, "/v1/session", OPEN, Some("session.close")),
    get("/metrics", ANY, None),
    get("/healthz", OPEN, None),
    get("/readyz", OPEN, None),
    get("/openapi.json", OPEN, None),
];

/// The door that a request is for; `None` if there is none at this path.
pub fn door(method: &Method, path: &str) -> Option<&'static Door> {
    // What answers GET answers HEAD as well.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    DOORS.iter().find(|door| door.method == *method && matches(door.path, path))
}

/// Whether nobody needs to be known at this path, where no door is: the page is for all to load, its data is not.
pub fn is_page(path: &str) -> bool {
    path != "/v1" && !path.starts_with("/v1/")
}

fn matches(pattern: &str, path: &str) -> bool {
    if pattern == path {
        return true;
    }
    if !pattern.contains('{') {
        return false;
    }
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some("{}"), Some(part)) if !part.is_empty() => {}
            (Some(wanted), Some(part)) if wanted == part => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_found_by_method_and_path() {
        let path = |method, path| door(&method, path).map(|door| door.path);
        assert_eq!(path(Method::GET, "/v1/decisions/a%2Fb"), Some("/v1/decisions/{}"));
        assert_eq!(path(Method::HEAD, "/v1/stats"), Some("/v1/stats"));
        assert_eq!(path(Method::GET, "/v1/alerts/7"), Some("/v1/alerts/{}"));
        assert_eq!(path(Method::POST, "/v1/alerts/next"), Some("/v1/alerts/next"));
        assert_eq!(path(Method::GET, "/v1/models/drift"), Some("/v1/models/drift"));
        for unknown in ["/v1/decisions/", "/v1/decisions/a/b/c", "/v1/stats/", "//v1/stats", "/v1"] {
            assert_eq!(path(Method::GET, unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_changes_something_is_noted_or_in_the_log_of_decisions() {
        let not_noted: Vec<&str> = DOORS
            .iter()
            .filter(|door| !door.is_reading() && door.action.is_none())
            .map(|door| door.path)
            .collect();
        assert_eq!(not_noted, ["/v1/transactions", "/v1/transactions/batch", "/predict", "/v1/labels"]);
    }
}
