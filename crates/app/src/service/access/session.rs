//! Sessions of the page: who has shown a key or a token gets a cookie with a random name for that, which scripts cannot read
//! and other sites cannot use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::digest::{SHA256, digest};

use super::limits::Bucket;
use super::random::random;
use super::role::Roles;
use crate::service::pipeline::lock;

/// Sessions at the same time.
const SESSIONS_MAX: usize = 10_000;

/// What somebody has shown.
#[derive(Debug, Clone)]
pub enum Proof {
    /// A key, by its hash: it is looked up at every request, so a session ends with its key.
    Key([u8; 32]),
    /// A token: it was good then.
    Token {
        /// Whose it is.
        name: Arc<str>,
        /// What they may do.
        roles: Roles,
        /// How fast they may ask.
        bucket: Arc<Bucket>,
    },
}

#[derive(Debug)]
struct Session {
    proof: Proof,
    until_us: i64,
}

/// Who is signed in. Only hashes of the cookies are kept.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

impl Sessions {
    /// Opens a session; the value of its cookie. `None` if there are too many.
    pub fn open(&self, proof: Proof, now_us: i64, until_us: i64) -> Option<String> {
        let mut sessions = lock(&self.0);
        if sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, session| now_us < session.until_us);
        }
        if sessions.len() >= SESSIONS_MAX {
            return None;
        }
        let cookie = BASE64.encode(random::<32>());
        sessions.insert(name(&cookie), Session { proof, until_us });
        Some(cookie)
    }

    /// What was shown for a cookie.
    pub fn find(&self, cookie: &str, now_us: i64) -> Option<Proof> {
        let sessions = lock(&self.0);
        sessions
            .get(&name(cookie))
            .filter(|session| now_us < session.until_us)
            .map(|session| session.proof.clone())
    }

    /// Ends a session.
    pub fn close(&self, cookie: &str) {
        lock(&self.0).remove(&name(cookie));
    }
}

/// A search by a hash tells nobody how much of a guess was right.
fn name(cookie: &str) -> [u8; 32] {
    digest(&SHA256, cookie.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_until_its_time_or_its_end() {
        let sessions = Sessions::default();
        let open = || sessions.open(Proof::Key([1; 32]), 0, 100).unwrap();
        let (first, second) = (open(), open());
        assert!(first != second && first.len() == 43);
        assert!(sessions.find(&first, 99).is_some() && sessions.find(&first, 100).is_none());
        sessions.close(&second);
        assert!(sessions.find(&second, 1).is_none() && sessions.find("", 1).is_none());
    }
}
