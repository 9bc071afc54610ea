//! The `[traces]` table.

use reqwest::Url;

/// The keys.
pub const KEYS: [&str; 3] = ["endpoint", "share", "service_name"];

/// Where traces are sent, and of how many requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The receiver of OTLP over HTTP, without the path; nothing is traced without one.
    pub endpoint: Option<Url>,
    /// The share of requests that are traced where the caller does not say.
    pub share: f64,
    /// What this service is called in traces.
    pub service_name: String,
}

impl Default for Config {
    fn default() -> Self {
        Config { endpoint: None, share: 0.01, service_name: "redflag".to_string() }
    }
}

impl Config {
    /// Takes the setting `traces.KEY`.
    ///
    /// # Errors
    /// If there is no such key, or its value is wrong.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        let expected = |what: &str| format!("`traces.{key}` is {text:?}, expected {what}");
        match key {
            "endpoint" => self.endpoint = Some(address(text)?),
            "share" => {
                let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
                self.share = share.ok_or_else(|| expected("a share from 0 to 1, as 0.01"))?;
            }
            "service_name" if text.is_empty() => return Err(expected("a name")),
            "service_name" => self.service_name = text.to_string(),
            unknown => return Err(format!("unknown key `traces.{unknown}` (known: {})", KEYS.join(", "))),
        }
        Ok(())
    }
}

/// The address may hold a secret by mistake, so it is not repeated.
fn address(text: &str) -> Result<Url, String> {
    let wrong = |why: &str| {
        Err(format!("`traces.endpoint` {why}, expected the address of a receiver, as http://127.0.0.1:4318"))
    };
    let Ok(url) = Url::parse(text) else { return wrong("is no address") };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong("is not one of http");
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return wrong("has a name, a password or a query");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_is_told_with_its_name_and_a_secret_is_not_repeated() {
        let wrong = |key: &str, text: &str| Config::default().set(key, text).unwrap_err();
        assert_eq!(wrong("share", "1.5"), "`traces.share` is \"1.5\", expected a share from 0 to 1, as 0.01");
        assert!(
            wrong("share", "NaN").contains("expected a share")
                && wrong("service_name", "").contains("a name")
        );
        assert!(wrong("shares", "1").starts_with("unknown key `traces.shares`"));
        for address in [
            "collector:4318",
            "ftp://collector",
            "http://",
            "http://ann:hidden@collector",
            "http://c/?k=hidden",
        ] {
            let why = wrong("endpoint", address);
            assert!(why.contains("as http://127.0.0.1:4318") && !why.contains("hidden"), "{why}");
        }
    }
}
