//! Who asks, and what they may.
//!
//! A request is looked at once, before the router sees it: which [`doors`] it is for, who asks (by an API key, a token of an
//! identity provider, or the page's cookie), whether their [`role`] opens that door, and whether they ask too fast. On
//! loopback nobody is asked anything unless keys or an issuer are set.

pub mod doors;
pub mod guard;
pub mod jwks;
pub mod keys;
pub mod limits;
pub mod role;
pub mod session;
pub mod settings;
pub mod tls;
pub mod token;
pub mod random;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use axum::http::{HeaderMap, header};
use engine::card::Cards;
use ring::digest::{SHA256, digest};

use self::jwks::Provider;
use self::keys::{KeyFile, Keys};
use self::limits::{Bucket, Buckets, Rate};
use self::role::Roles;
use self::session::{Proof, Sessions};
use self::settings::Config;
use self::tls::Identity;
use self::token::{Expected, Person, Refused, verify};
use super::pipeline::{lock, now_us};

/// How often files are looked at for changes.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Tokens that are remembered as good.
const TOKENS_MAX: usize = 4_096;

/// Who has not said who they are may ask at this rate for what needs it.
const STRANGERS: Rate = Rate { per_second: 20.0, burst: 200.0 };

/// By what somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// An API key.
    Key,
    /// A token of the identity provider.
    Token,
    /// The cookie of the page.
    Session,
}

impl Means {
    /// The name over the wire.
    pub fn name(self) -> &'static str {
        match self {
            Means::Key => "key",
            Means::Token => "token",
            Means::Session => "session",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Who {
    /// The name.
    pub name: Arc<str>,
    /// What they may do.
    pub roles: Roles,
    /// By what they are known.
    pub means: Means,
    bucket: Arc<Bucket>,
}

/// Who somebody is cannot be told from what they show.
#[derive(Debug, Clone, PartialEq)]
pub struct Unknown(pub String);

/// What is known of who may do what.
pub struct Access {
    /// What is set.
    pub config: Config,
    /// What connections are encrypted by, if they are.
    pub identity: Option<Arc<Identity>>,
    keys: Option<Watched>,
    tokens: Option<Tokens>,
    /// Who is signed in on the page.
    pub sessions: Sessions,
    rate: Option<Rate>,
    addresses: Buckets<IpAddr>,
    /// Reads that were noted lately.
    noted: guard::Noted,
    /// Ids are noted by pseudonyms under the key of card tokens.
    pseudonyms: Cards,
}

/// A file of keys that is read again when it changes.
struct Watched {
    path: PathBuf,
    keys: RwLock<Arc<Keys>>,
    /// What it holds, and how it looked then.
    seen: Mutex<(KeyFile, Option<Stamp>)>,
}

type Stamp = (SystemTime, u64);

/// Who a token speaks for, and how fast they may ask.
type Known = (Person, Arc<Bucket>);

struct Tokens {
    expected: Expected,
    provider: Provider,
    /// Who good tokens speak for, by their hashes.
    good: Mutex<HashMap<[u8; 32], Known>>,
    people: Buckets<String>,
}

/// A key that was added to the file or revoked in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// What happened, as in the audit log.
    pub action: &'static str,
    /// Whose key.
    pub name: String,
    /// What they may do.
    pub role: String,
}

impl Access {
    /// What the settings say.
    ///
    /// # Errors
    /// If the file of keys or the certificate cannot be read.
    pub fn open(config: &Config, pseudonyms: Cards) -> Result<Access> {
        Ok(Access {
            keys: config.keys.clone().map(Watched::open).transpose()?,
            tokens: Tokens::open(config)?,
            sessions: Sessions::default(),
            identity: Identity::open(&config.tls)?,
            rate: config.rate(),
            addresses: Buckets::default(),
            noted: guard::Noted::default(),
            pseudonyms,
            config: config.clone(),
        })
    }

    /// Whether anybody is asked who they are.
    pub fn is_on(&self) -> bool {
        self.config.is_on()
    }

    /// Whether browsers reach the service by `https`.
    pub fn is_encrypted(&self) -> bool {
        self.config.tls.is_on()
    }

    /// Keeps what is known fresh: keys of the file, keys of the provider, the certificate. `changed` is told what happened to API keys.
    pub async fn watch(&self, changed: impl Fn(KeyChange)) {
        loop {
            if let Some(tokens) = &self.tokens {
                tokens.provider.keep_fresh().await;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
            if let Some(keys) = &self.keys {
                keys.look_again().into_iter().for_each(&changed);
            }
            if let Some(identity) = &self.identity {
                identity.keep_fresh();
            }
        }
    }

    /// Who asks, by the headers of their request; `None` if they do not say.
    ///
    /// # Errors
    /// If what they show is not good.
    pub async fn who(&self, headers: &HeaderMap) -> Result<Option<Who>, Unknown> {
        if let Some(shown) = shown(headers)? {
            return self.by_shown(shown).await.map(|(who, _)| Some(who));
        }
        let Some(cookie) = cookie(headers, self.cookie_name()) else { return Ok(None) };
        Ok(self.sessions.find(cookie, now_us()).and_then(|proof| self.by_proof(proof)))
    }

    /// Whose a key or token is, and what can be remembered of it.
    ///
    /// # Errors
    /// If it is not good.
    pub async fn by_shown(&self, shown: &str) -> Result<(Who, Proof), Unknown> {
        if !Keys::is_key(shown) {
            return self.by_token(shown).await;
        }
        let none = || Unknown("the key is not known, has expired or was revoked".to_string());
        let keys = self.keys.as_ref().ok_or_else(none)?.keys();
        let hash = keys.hash(shown);
        let proof = Proof::Key(hash);
        let holder = keys.find_hash(&hash, now_us()).ok_or_else(none)?;
        Ok((Who::of_key(holder, Means::Key), proof))
    }

    async fn by_token(&self, token: &str) -> Result<(Who, Proof), Unknown> {
        let tokens =
            self.tokens.as_ref().ok_or_else(|| Unknown("only API keys are known here".to_string()))?;
        let (person, bucket) =
            tokens.person(token).await.map_err(|refused| Unknown(format!("token: {refused}")))?;
        let name: Arc<str> = person.name.into();
        let proof =
            Proof::Token { name: Arc::clone(&name), roles: person.roles, bucket: Arc::clone(&bucket) };
        Ok((Who { name, roles: person.roles, means: Means::Token, bucket }, proof))
    }

    fn by_proof(&self, proof: Proof) -> Option<Who> {
        match proof {
            Proof::Key(hash) => {
                let keys = self.keys.as_ref()?.keys();
                keys.find_hash(&hash, now_us()).map(|holder| Who::of_key(holder, Means::Session))
            }
            Proof::Token { name, roles, bucket } => Some(Who { name, roles, means: Means::Session, bucket }),
        }
    }

    /// The cookie's name; the prefix has browsers take it only from this host and by `https`.
    pub fn cookie_name(&self) -> &'static str {
        if self.is_encrypted() { "__Host-redflag" } else { "redflag" }
    }
}

impl Who {
    fn of_key(holder: &keys::Holder, means: Means) -> Who {
        Who { name: Arc::clone(&holder.name), roles: holder.roles, means, bucket: Arc::clone(&holder.bucket) }
    }
}

/// What a request shows of its own accord: `Authorization: Bearer`, or `X-API-Key`.
fn shown(headers: &HeaderMap) -> Result<Option<&str>, Unknown> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        let key = headers.get("x-api-key").map(|value| value.to_str());
        return key.transpose().map_err(|_| Unknown("the header X-API-Key is no key".to_string()));
    };
    let bearer = value.to_str().ok().and_then(|text| text.split_once(' '));
    match bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) {
        Some((_, shown)) => Ok(Some(shown.trim())),
        None => Err(Unknown("the header Authorization is not `Bearer` with a key or token".to_string())),
    }
}

/// The value of a cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

impl Watched {
    fn open(path: PathBuf) -> Result<Watched> {
        let of = || format!("access.keys: {} (`redflag keys create` makes it)", path.display());
        let stamp = stamp(&path);
        let file = KeyFile::read(&path).with_context(of)?;
        let keys = Keys::of(&file, None).with_context(of)?;
        Ok(Watched { keys: RwLock::new(Arc::new(keys)), seen: Mutex::new((file, stamp)), path })
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again if it has changed. One that is wrong changes nothing; one that is gone has no keys.
    fn look_again(&self) -> Vec<KeyChange> {
        let mut seen = lock(&self.seen);
        let stamp = stamp(&self.path);
        if stamp == seen.1 {
            return Vec::new();
        }
        seen.1 = stamp;
        let read = match stamp {
            None => Ok((KeyFile::default(), Keys::none())),
            Some(_) => self.read(),
        };
        match read {
            Ok((file, keys)) => {
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                let changes = changes(&seen.0, &file);
                seen.0 = file;
                changes
            }
            Err(error) => {
                tracing::error!(error = %format!("{error:#}"), "the file of keys is wrong: the keys before it stay good");
                Vec::new()
            }
        }
    }

    fn read(&self) -> Result<(KeyFile, Keys)> {
        let file = KeyFile::read(&self.path)?;
        let keys = Keys::of(&file, Some(&self.keys()))?;
        Ok((file, keys))
    }
}

fn stamp(path: &std::path::Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// What happened between two states of a file.
fn changes(before: &KeyFile, after: &KeyFile) -> Vec<KeyChange> {
    let good = |file: &KeyFile| -> Vec<(String, String)> {
        let good = file.keys.iter().filter(|key| key.revoked.is_none());
        good.map(|key| (key.name.clone(), key.role.clone())).collect()
    };
    let (before, after) = (good(before), good(after));
    let told = |action, in_one: &[(String, String)], in_other: &[(String, String)]| -> Vec<KeyChange> {
        let only = in_one.iter().filter(|key| !in_other.contains(key)).cloned();
        only.map(|(name, role)| KeyChange { action, name, role }).collect()
    };
    [told("key.add", &after, &before), told("key.revoke", &before, &after)].concat()
}

impl Tokens {
    fn open(config: &Config) -> Result<Option<Tokens>> {
        let (Some(issuer), Some(audience), Some(jwks)) = (&config.issuer, &config.audience, &config.jwks)
        else {
            return Ok(None);
        };
        let expected = Expected {
            issuer: issuer.clone(),
            audience: audience.clone(),
            role_claim: config.role_claim.clone(),
            name_claim: config.name_claim.clone(),
            roles: config.roles.clone(),
        };
        let provider = Provider::new(jwks.clone())?;
        Ok(Some(Tokens { expected, provider, good: Mutex::default(), people: Buckets::default() }))
    }

    /// Who a token speaks for. One that was found good stays so until it expires, so its signature is checked once.
    async fn person(&self, token: &str) -> Result<Known, Refused> {
        let hash = digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes");
        let now_s = now_us() as f64 / 1e6;
        let known = lock(&self.good).get(&hash).cloned();
        if let Some(known) = known.filter(|(person, _)| now_s < person.expires_s) {
            return Ok(known);
        }
        let mut verified = verify(token, &self.provider.keys(), &self.expected, now_s);
        if verified == Err(Refused::UnknownKey) && self.provider.look_for_new().await {
            verified = verify(token, &self.provider.keys(), &self.expected, now_s);
        }
        let person = verified?;
        let bucket = self.people.of(person.name.clone());
        let mut good = lock(&self.good);
        if good.len() >= TOKENS_MAX {
            good.clear();
        }
        good.insert(hash, (person.clone(), Arc::clone(&bucket)));
        Ok((person, bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=1; redflag=x=y; b".parse().unwrap());
        assert_eq!(cookie(&headers, "redflag"), Some("x=y"));
        assert_eq!(cookie(&headers, "red"), None);
    }

    #[test]
    fn a_header_shows_a_key_or_is_refused() {
        let with = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            shown(&headers).map(|shown| shown.map(str::to_string)).ok()
        };
        assert_eq!(with("authorization", "bearer rf_a"), Some(Some("rf_a".to_string())));
        assert_eq!(with("x-api-key", "rf_a"), Some(Some("rf_a".to_string())));
        assert_eq!(with("authorization", "Basic YTpi"), None);
        assert_eq!(with("authorization", "rf_a"), None);
        assert_eq!(with("accept", "*/*"), Some(None));
    }

    #[test]
    fn what_happens_to_keys_is_told() {
        let file = |names: &[&str]| {
            let mut file = KeyFile::default();
            for name in names {
                let toml = format!(
                    "salt = \"\"\n[[key]]\nname = \"{name}\"\nrole = \"admin\"\nhash = \"\"\ncreated = \"\"\n"
                );
                file.keys.extend(toml::from_str::<KeyFile>(&toml).unwrap().keys);
            }
            file
        };
        let told = changes(&file(&["a", "b"]), &file(&["b", "c"]));
        let told: Vec<_> = told.iter().map(|change| (change.action, change.name.as_str())).collect();
        assert_eq!(told, [("key.add", "c"), ("key.revoke", "a")]);
    }
}
