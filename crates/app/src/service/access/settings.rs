//! What is set of access: who is asked who they are, how connections are encrypted, how much anybody may ask.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use engine::time::{HOUR_US, parse_duration};

use super::jwks::Place;
use super::limits::Rate;
use super::role::Role;

/// The keys, each with the environment variable that overrides it.
pub const KEYS: &[(&str, &str)] = &[
    ("access.keys", "REDFLAG_ACCESS_KEYS"),
    ("access.issuer", "REDFLAG_ACCESS_ISSUER"),
    ("access.audience", "REDFLAG_ACCESS_AUDIENCE"),
    ("access.jwks", "REDFLAG_ACCESS_JWKS"),
    ("access.role_claim", "REDFLAG_ACCESS_ROLE_CLAIM"),
    ("access.name_claim", "REDFLAG_ACCESS_NAME_CLAIM"),
    ("access.roles", "REDFLAG_ACCESS_ROLES"),
    ("access.session", "REDFLAG_ACCESS_SESSION"),
    ("tls", "REDFLAG_TLS"),
    ("tls.certificate", "REDFLAG_TLS_CERTIFICATE"),
    ("tls.key", "REDFLAG_TLS_KEY"),
    ("limits.per_second", "REDFLAG_LIMITS_PER_SECOND"),
    ("limits.burst", "REDFLAG_LIMITS_BURST"),
    ("limits.connections", "REDFLAG_LIMITS_CONNECTIONS"),
    ("limits.request_within", "REDFLAG_LIMITS_REQUEST_WITHIN"),
];

/// Requests by which a rate may be exceeded for a moment, in seconds of it.
const BURST_S: f64 = 2.0;

/// What is set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file with hashes of API keys.
    pub keys: Option<PathBuf>,
    /// Who makes tokens.
    pub issuer: Option<String>,
    /// For whom they must be made.
    pub audience: Option<String>,
    /// Where the issuer's keys are.
    pub jwks: Option<Place>,
    /// The claim with the roles.
    pub role_claim: String,
    /// The claim with the name.
    pub name_claim: String,
    /// Roles by the provider's names.
    pub roles: Vec<(String, Role)>,
    /// How long somebody stays signed in on the page, in microseconds.
    pub session_us: i64,
    /// How connections are encrypted.
    pub tls: Tls,
    /// Requests a second of one key, person or address.
    per_second: Option<u32>,
    /// Requests at once.
    burst: Option<u32>,
    /// Connections at the same time.
    pub connections: usize,
    /// How long a request may take to arrive.
    pub request_within: Duration,
}

/// How connections are encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// By somebody before this process.
    pub elsewhere: bool,
    /// The file with the certificate and those that vouch for it, PEM.
    pub certificate: Option<PathBuf>,
    /// The file with its key, PEM.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// Whether browsers reach the service by `https`.
    pub fn is_on(&self) -> bool {
        self.elsewhere || self.certificate.is_some()
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            keys: None,
            issuer: None,
            audience: None,
            jwks: None,
            role_claim: "roles".to_string(),
            name_claim: "preferred_username".to_string(),
            roles: Vec::new(),
            session_us: 8 * HOUR_US,
            tls: Tls::default(),
            per_second: None,
            burst: None,
            connections: 10_000,
            request_within: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// Whether anybody is asked who they are.
    pub fn is_on(&self) -> bool {
        self.keys.is_some() || self.issuer.is_some()
    }

    /// How fast one may ask; `None` if that is not limited.
    pub fn rate(&self) -> Option<Rate> {
        let per_second = f64::from(self.per_second?);
        let burst = self.burst.map_or(per_second * BURST_S, f64::from);
        Some(Rate { per_second, burst })
    }

    /// Whether a key is one of these.
    pub fn has(key: &str) -> bool {
        KEYS.iter().any(|(known, _)| *known == key)
    }

    /// Sets one of [`KEYS`].
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        let expected = |what: &str| format!("`{key}` is {text:?}, expected {what}");
        let some = || Some(text.to_string()).filter(|text| !text.is_empty());
        let count = || text.parse::<u32>().ok().filter(|count| *count > 0);
        match key {
            "access.keys" => self.keys = Some(some().ok_or_else(|| expected("a file"))?.into()),
            "access.issuer" => self.issuer = Some(some().ok_or_else(|| expected("the `iss` of tokens"))?),
            "access.audience" => self.audience = Some(some().ok_or_else(|| expected("an `aud` of tokens"))?),
            "access.jwks" => self.jwks = Some(Place::parse(text).map_err(expected)?),
            "access.role_claim" => self.role_claim = some().ok_or_else(|| expected("the name of a claim"))?,
            "access.name_claim" => self.name_claim = some().ok_or_else(|| expected("the name of a claim"))?,
            "access.roles" => self.roles = roles(text).ok_or_else(|| expected(ROLES))?,
            "access.session" => {
                let session_us = parse_duration(text).filter(|us| *us > 0);
                self.session_us = session_us.ok_or_else(|| expected("a duration, as 8h"))?;
            }
            "tls" if text == "elsewhere" => self.tls.elsewhere = true,
            "tls" => return Err(expected("elsewhere, or a table with certificate and key")),
            "tls.certificate" => {
                self.tls.certificate = Some(some().ok_or_else(|| expected("a file"))?.into())
            }
            "tls.key" => self.tls.key = Some(some().ok_or_else(|| expected("a file"))?.into()),
            "limits.per_second" => {
                self.per_second = Some(count().ok_or_else(|| expected("a number from 1"))?)
            }
            "limits.burst" => self.burst = Some(count().ok_or_else(|| expected("a number from 1"))?),
            "limits.connections" => {
                self.connections = count().ok_or_else(|| expected("a number from 1"))? as usize;
            }
            _ => {
                let within = parse_duration(text).filter(|us| *us >= 1_000_000);
                let within = within.ok_or_else(|| expected("a duration from 1s"))?;
                self.request_within = Duration::from_micros(within as u64);
            }
        }
        Ok(())
    }

    /// What each setting alone cannot tell. Whoever listens where others can reach it must ask who they are.
    pub fn check_together(&self, listen: SocketAddr, mistakes: &mut Vec<String>) {
        if self.issuer.is_some() && (self.audience.is_none() || self.jwks.is_none()) {
            mistakes.push("`access.issuer` needs access.audience and access.jwks too".to_string());
        }
        if self.issuer.is_none() && (self.audience.is_some() || self.jwks.is_some()) {
            mistakes.push("`access.audience` and `access.jwks` need access.issuer".to_string());
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            mistakes.push("`tls.certificate` and `tls.key` need each other".to_string());
        }
        if self.burst.is_some() && self.per_second.is_none() {
            mistakes.push("`limits.burst` needs limits.per_second".to_string());
        }
        if listen.ip().is_loopback() {
            return;
        }
        if !self.is_on() {
            mistakes.push(format!(
                "`listen` is {listen}, where others can reach it, and nobody is asked who they are: set access.keys \
                 (make one with `redflag keys create`) or access.issuer, or listen on 127.0.0.1"
            ));
        }
        if !self.tls.is_on() {
            mistakes.push(format!(
                "`listen` is {listen}, where others can listen in: set tls.certificate and tls.key, or tls = \
                 \"elsewhere\" if something before it encrypts connections"
            ));
        }
    }
}

const ROLES: &str = "the provider's names with roles, as fraud-team=analyst, platform=admin";

fn roles(text: &str) -> Option<Vec<(String, Role)>> {
    let pair = |pair: &str| {
        let (theirs, role) = pair.rsplit_once('=')?;
        let theirs = theirs.trim();
        Some((theirs.to_string(), Role::from_name(role.trim())?)).filter(|_| !theirs.is_empty())
    };
    text.split(',').map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(listen: &str, set: &[(&str, &str)]) -> usize {
        let mut config = Config::default();
        set.iter().for_each(|(key, text)| config.set(key, text).unwrap());
        let mut mistakes = Vec::new();
        config.check_together(listen.parse().unwrap(), &mut mistakes);
        mistakes.len()
    }

    #[test]
    fn beyond_this_machine_nobody_is_served_in_the_open() {
        let (keys, elsewhere) = (("access.keys", "keys.toml"), ("tls", "elsewhere"));
        assert_eq!(mistakes("127.0.0.1:80", &[]), 0);
        assert_eq!(mistakes("[::1]:80", &[]), 0);
        assert_eq!(mistakes("0.0.0.0:80", &[]), 2);
        assert_eq!(mistakes("[::]:80", &[elsewhere]), 1);
        assert_eq!(mistakes("10.0.0.1:80", &[keys]), 1);
        assert_eq!(mistakes("10.0.0.1:80", &[keys, elsewhere]), 0);
        assert_eq!(mistakes("0.0.0.0:80", &[keys, ("tls.certificate", "c.pem"), ("tls.key", "k.pem")]), 0);
        assert_eq!(mistakes("127.0.0.1:80", &[("tls.certificate", "c.pem")]), 1);
        assert_eq!(mistakes("127.0.0.1:80", &[("access.issuer", "https://id")]), 1);
    }

    #[test]
    fn wrong_texts_are_refused() {
        let wrong = [
            ("access.keys", ""),
            ("access.jwks", "http://id.example.com/keys"),
            ("access.jwks", "ftp://id.example.com/keys"),
            ("access.roles", "fraud-team=chief"),
            ("access.roles", "admin"),
            ("access.session", "0s"),
            ("tls", "on"),
            ("limits.per_second", "0"),
            ("limits.request_within", "10ms"),
        ];
        for (key, text) in wrong {
            let mistake = Config::default().set(key, text).unwrap_err();
            assert!(mistake.starts_with(&format!("`{key}` is {text:?}, expected ")), "{mistake}");
        }
        assert_eq!(
            roles("a=b=analyst , c=admin"),
            Some(vec![("a=b".into(), Role::Analyst), ("c".into(), Role::Admin)])
        );
    }
}
