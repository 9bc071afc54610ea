//! API keys: who they belong to, and what these may do. Only hashes are kept; a key itself is shown once, when it is made.
//!
//! A key is 256 random bits, so a fast hash is enough: there is nothing to guess. It is keyed with the file's salt
//! (HMAC-SHA-256), so that two files of hashes cannot be compared.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use engine::time::{format_instant, parse_instant};
use ring::hmac;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::limits::Bucket;
use super::random::random;
use super::role::{Role, Roles};

/// How every key begins, so that it is known for one wherever it turns up.
const PREFIX: &str = "rf_";

/// What is kept of keys, as it stands in the file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// What hashes are keyed with, in base64url.
    salt: String,
    /// The keys, also those that are no longer good.
    #[serde(default, rename = "key")]
    pub keys: Vec<StoredKey>,
}

/// What is kept of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredKey {
    /// Whose it is.
    pub name: String,
    /// What they may do.
    pub role: String,
    /// HMAC-SHA-256 of the key, in base64url.
    hash: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Until when it is good, RFC 3339; without, until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Since when it is no longer good, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
}

impl StoredKey {
    /// Whether it is good at this time.
    pub fn is_good(&self, now_us: i64) -> bool {
        self.revoked.is_none() && self.expires_us().is_none_or(|expires_us| now_us < expires_us)
    }

    /// A time that cannot be read is taken for one that has passed; [`Keys::of`] refuses it before.
    fn expires_us(&self) -> Option<i64> {
        self.expires.as_deref().map(|text| parse_instant(text).unwrap_or(i64::MIN))
    }
}

impl KeyFile {
    /// A file without keys.
    fn new() -> KeyFile {
        KeyFile { salt: BASE64.encode(random::<32>()), keys: Vec::new() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no file of keys.
    pub fn read(path: &Path) -> anyhow::Result<KeyFile> {
        let text = std::fs::read_to_string(path)?;
        Ok(toml::from_str(&text)?)
    }

    /// Changes a file, which is made if there is none; processes that change it do so one after the other, and readers see
    /// it before or after.
    ///
    /// # Errors
    /// If it cannot be written, or `change` refuses.
    pub fn change<T>(
        path: &Path,
        change: impl FnOnce(&mut KeyFile) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let guard = std::fs::File::options().create(true).append(true).open(beside(path, "lock"))?;
        guard.lock()?;
        let mut keys = if path.exists() { KeyFile::read(path)? } else { KeyFile::new() };
        let done = change(&mut keys)?;
        let text =
            format!("# Made by `redflag keys`: hashes of API keys, no keys.\n{}", toml::to_string(&keys)?);
        let new = beside(path, "new");
        write_private(&new, &text)?;
        std::fs::rename(new, path)?;
        Ok(done)
    }

    /// Makes a key and adds it; the key itself.
    ///
    /// # Errors
    /// If there is a good key of this name.
    pub fn create(
        &mut self,
        name: &str,
        role: Role,
        expires_us: Option<i64>,
        now_us: i64,
    ) -> anyhow::Result<String> {
        if self.keys.iter().any(|key| key.name == name && key.is_good(now_us)) {
            anyhow::bail!("there is a key {name:?} already: revoke it first, or take another name");
        }
        let key = format!("{PREFIX}{}", BASE64.encode(random::<32>()));
        let hash = hmac::sign(&self.keyed()?, key.as_bytes());
        self.keys.push(StoredKey {
            name: name.to_string(),
            role: role.name().to_string(),
            hash: BASE64.encode(hash),
            created: format_instant(now_us),
            expires: expires_us.map(format_instant),
            revoked: None,
        });
        Ok(key)
    }

    /// Ends the good keys of a name; how many there were.
    pub fn revoke(&mut self, name: &str, now_us: i64) -> usize {
        let good = self.keys.iter_mut().filter(|key| key.name == name && key.is_good(now_us));
        good.map(|key| key.revoked = Some(format_instant(now_us))).count()
    }

    fn keyed(&self) -> anyhow::Result<hmac::Key> {
        let salt = BASE64.decode(&self.salt).ok().filter(|salt| salt.len() >= 16);
        let salt = salt.ok_or_else(|| anyhow::anyhow!("`salt` is not 16 or more bytes in base64url"))?;
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &salt))
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

/// Writes a file that nobody else on the machine can read.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A key that is good or was.
#[derive(Debug)]
pub struct Holder {
    /// Whose it is.
    pub name: Arc<str>,
    /// What they may do.
    pub roles: Roles,
    /// How fast they may ask.
    pub bucket: Arc<Bucket>,
    hash: [u8; 32],
    expires_us: Option<i64>,
}

/// Keys, to be looked up.
#[derive(Debug)]
pub struct Keys {
    salt: hmac::Key,
    /// By the first bytes of the hash: without the salt nobody can choose them, so a search by them tells nobody anything.
    holders: HashMap<u64, Arc<Holder>, foldhash::fast::RandomState>,
}

impl Keys {
    /// The keys of a file that are not revoked. `buckets` has those of the file before, so that nobody gets a new
    /// allowance because it changed.
    ///
    /// # Errors
    /// What is wrong with the first key that is.
    pub fn of(file: &KeyFile, before: Option<&Keys>) -> anyhow::Result<Keys> {
        let salt = file.keyed()?;
        let mut keys = Keys { salt, holders: HashMap::default() };
        for stored in file.keys.iter().filter(|stored| stored.revoked.is_none()) {
            let holder = holder(stored, before)?;
            keys.holders.insert(place(&holder.hash), Arc::new(holder));
        }
        Ok(keys)
    }

    /// No keys at all.
    pub fn none() -> Keys {
        Keys { salt: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()), holders: HashMap::default() }
    }

    /// Whether a text is meant to be a key.
    pub fn is_key(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The hash by which a key is remembered.
    pub fn hash(&self, key: &str) -> [u8; 32] {
        let tag = hmac::sign(&self.salt, key.as_bytes());
        tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Whose the key with this hash is; `None` if it is not good.
    pub fn find_hash(&self, hash: &[u8; 32], now_us: i64) -> Option<&Arc<Holder>> {
        let holder = self.holders.get(&place(hash))?;
        let is_same = bool::from(holder.hash.ct_eq(hash));
        Some(holder)
            .filter(|holder| is_same && holder.expires_us.is_none_or(|expires_us| now_us < expires_us))
    }
}

fn place(hash: &[u8; 32]) -> u64 {
    u64::from_le_bytes(hash[..8].try_into().expect("they are eight"))
}

fn holder(stored: &StoredKey, before: Option<&Keys>) -> anyhow::Result<Holder> {
    let of = |what: &str| format!("key {:?}: {what}", stored.name);
    let role = Role::from_name(&stored.role);
    let role = role.ok_or_else(|| anyhow::anyhow!(of("`role` is not ingest, analyst, engineer or admin")))?;
    let hash = BASE64.decode(&stored.hash).ok().and_then(|hash| hash.try_into().ok());
    let hash: [u8; 32] = hash.ok_or_else(|| anyhow::anyhow!(of("`hash` is not 32 bytes in base64url")))?;
    let expires_us = stored.expires.as_deref().map(|text| {
        parse_instant(text).ok_or_else(|| anyhow::anyhow!(of("`expires` is not an RFC 3339 time")))
    });
    let known = before.and_then(|keys| keys.holders.get(&place(&hash)));
    Ok(Holder {
        name: stored.name.as_str().into(),
        roles: Roles::NONE.and(role),
        bucket: known.map(|known| Arc::clone(&known.bucket)).unwrap_or_default(),
        hash,
        expires_us: expires_us.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(keys: &'a Keys, key: &str, now_us: i64) -> Option<&'a Arc<Holder>> {
        keys.find_hash(&keys.hash(key), now_us)
    }

    fn file_with(name: &str, expires_us: Option<i64>) -> (KeyFile, String) {
        let mut file = KeyFile::new();
        let key = file.create(name, Role::Analyst, expires_us, 0).unwrap();
        (file, key)
    }

    #[test]
    fn a_key_is_found_and_its_file_does_not_hold_it() {
        let (file, key) = file_with("anna", None);
        assert!(key.len() == 46 && Keys::is_key(&key), "{key}");
        let text = toml::to_string(&file).unwrap();
        assert!(!text.contains(&key[3..]), "{text}");
        let keys = Keys::of(&toml::from_str(&text).unwrap(), None).unwrap();
        let holder = find(&keys, &key, 5).unwrap();
        assert_eq!((&*holder.name, holder.roles), ("anna", Roles::NONE.and(Role::Analyst)));
        for wrong in ["", "rf_", &key[..45], &key.to_lowercase(), &format!("{key}A")] {
            assert!(find(&keys, wrong, 5).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_key_ends_with_its_time_or_when_it_is_revoked() {
        let (mut file, key) = file_with("anna", Some(1_000_000));
        let keys = Keys::of(&file, None).unwrap();
        assert!(find(&keys, &key, 999_999).is_some() && find(&keys, &key, 1_000_000).is_none());
        assert!(file.create("anna", Role::Admin, None, 0).is_err(), "the name is taken");
        assert_eq!(file.revoke("anna", 5), 1);
        assert!(find(&Keys::of(&file, None).unwrap(), &key, 6).is_none());
        assert!(file.create("anna", Role::Admin, None, 7).is_ok(), "the name is free again");
        assert_eq!(file.revoke("bert", 5), 0);
    }

    #[test]
    fn a_wrong_file_is_refused() {
        let (file, _) = file_with("anna", None);
        for (right, wrong) in
            [("analyst", "chief"), ("salt = \"", "salt = \"!"), ("hash = \"", "hash = \"AA")]
        {
            let text = toml::to_string(&file).unwrap().replace(right, wrong);
            assert!(Keys::of(&toml::from_str(&text).unwrap(), None).is_err(), "{text}");
        }
    }
}
