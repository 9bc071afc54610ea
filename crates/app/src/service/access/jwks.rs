//! The keys of an identity provider: read from its address or a file, and again when a token names one that is not among them.

use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::token::KeySet;

/// Keys that nobody asks for are read again after this.
const INTERVAL: Duration = Duration::from_secs(15 * 60);

/// A token that names an unknown key has them read again, but no sooner than this after the last time.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(30);

/// How long the provider may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// No provider has more.
const BYTES_MAX: usize = 1 << 20;

/// Where keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At an address.
    Url(reqwest::Url),
    /// In a file.
    File(PathBuf),
}

impl Place {
    /// An address, `https` unless it is on this machine, or a file.
    ///
    /// # Errors
    /// What is expected.
    pub fn parse(text: &str) -> Result<Place, &'static str> {
        let expected = "an https:// address of a JWK set, or a file; http:// only of this machine";
        if !text.contains("://") {
            return if text.is_empty() { Err(expected) } else { Ok(Place::File(PathBuf::from(text))) };
        }
        let url = reqwest::Url::parse(text).map_err(|_| expected)?;
        let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_here);
        if is_safe { Ok(Place::Url(url)) } else { Err(expected) }
    }
}

/// The keys of a provider.
pub struct Provider {
    place: Place,
    client: reqwest::Client,
    keys: RwLock<Arc<KeySet>>,
    /// When they were last asked for.
    asked: Mutex<Option<Instant>>,
}

impl Provider {
    /// A provider whose keys are not read yet.
    ///
    /// # Errors
    /// If there can be no HTTP client.
    pub fn new(place: Place) -> Result<Provider> {
        // An answer that sends elsewhere is none: keys come from where the settings say.
        let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        Ok(Provider { place, client: client.build()?, keys: RwLock::default(), asked: Mutex::default() })
    }

    /// The keys as they were last read.
    pub fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Reads the keys again because a token names one that is not among them; whether it was time to.
    pub async fn look_for_new(&self) -> bool {
        self.refresh(UNKNOWN_INTERVAL).await
    }

    /// Reads the keys again if they are old.
    pub async fn keep_fresh(&self) {
        self.refresh(INTERVAL).await;
    }

    /// One at a time: who waits finds that they were just read.
    async fn refresh(&self, interval: Duration) -> bool {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < interval) {
            return false;
        }
        *asked = Some(Instant::now());
        match self.read().await {
            Ok(keys) => {
                *self.keys.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(keys)
            }
            Err(error) => {
                tracing::error!(error = %format!("{error:#}"), "the keys of the identity provider cannot be read");
                // The next attempt comes as soon as somebody needs it.
                *asked = Instant::now().checked_sub(INTERVAL.saturating_sub(UNKNOWN_INTERVAL));
            }
        }
        true
    }

    async fn read(&self) -> Result<KeySet> {
        let json = match &self.place {
            Place::File(path) => {
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            Place::Url(url) => self.fetch(url).await?,
        };
        KeySet::parse(&json).with_context(|| format!("{:?} has no JWK set", self.place))
    }

    async fn fetch(&self, url: &reqwest::Url) -> Result<Vec<u8>> {
        let mut answer = self.client.get(url.clone()).send().await?;
        ensure!(answer.status().is_success(), "{url} answers {}", answer.status());
        let mut json = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            ensure!(json.len() + chunk.len() <= BYTES_MAX, "{url} answers with more than {BYTES_MAX} bytes");
            json.extend_from_slice(&chunk);
        }
        Ok(json)
    }
}
