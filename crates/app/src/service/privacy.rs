//! The key under which card numbers become tokens: given, or made at the first start and kept in the data folder.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use engine::Detector;
use engine::card::{Cards, KEY_BYTES_MIN};

use super::settings::Settings;
use crate::cli::WrongInput;

/// Where the key is kept that nobody gave.
const KEY_FILE: &str = "card.key";

/// A key; it prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What is done about card numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The key of the tokens, if it was given.
    pub card_key: Option<Key>,
    /// Whether numbers are looked for in fields that were not declared to hold them.
    pub detect: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config { card_key: None, detect: true }
    }
}

/// A key from its text, in hexadecimal or base64.
///
/// # Errors
/// What is wrong with it; the text is not repeated.
pub fn read_key(text: &str) -> Result<Key, String> {
    let text = text.trim();
    let bytes = of_hexadecimal(text)
        .or_else(|| STANDARD.decode(text).ok())
        .or_else(|| URL_SAFE_NO_PAD.decode(text).ok())
        .ok_or_else(|| "neither hexadecimal nor base64 (not shown)".to_string())?;
    if bytes.len() < KEY_BYTES_MIN {
        let found = bytes.len();
        return Err(format!(
            "a key of {found} bytes, expected {KEY_BYTES_MIN} or more, as of openssl rand -hex 32"
        ));
    }
    Ok(Key(bytes))
}

fn of_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let nibbles: Option<Vec<u8>> = text.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
    let nibbles = nibbles.filter(|nibbles| nibbles.len() % 2 == 0)?;
    Some(nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

impl Config {
    /// The detector with the service's tokens in its schema: every batch that is made of it has them.
    ///
    /// # Errors
    /// If the key cannot be read or made, or processes that share the work could each make their own.
    pub fn with_cards(&self, detector: Arc<Detector>, settings: &Settings) -> Result<Arc<Detector>> {
        let key = match &self.card_key {
            Some(key) => key.clone(),
            None if settings.kafka.is_on() && detector.schema.has_cards() => {
                let wrong = "`privacy.card_key_file` is not set, and the detector has a field of type card: with Kafka \
                             every process must be given the same key (REDFLAG_CARD_KEY_FILE)";
                return Err(WrongInput(wrong.to_string()).into());
            }
            None => kept_key(&settings.data_dir)?,
        };
        let mut detector = Arc::unwrap_or_clone(detector);
        detector.schema.cards = Cards::new(&key.0, self.detect);
        Ok(Arc::new(detector))
    }
}

/// The tokens of a command that reads files: under the key of the environment, if there is one.
///
/// # Errors
/// If that is no key.
pub fn cards_of_environment() -> Result<Option<Cards>> {
    let text = match (std::env::var("REDFLAG_CARD_KEY"), std::env::var("REDFLAG_CARD_KEY_FILE")) {
        (Ok(text), _) => text,
        (_, Ok(path)) => std::fs::read_to_string(&path)
            .map_err(|error| WrongInput(format!("REDFLAG_CARD_KEY_FILE: cannot read {path}: {error}")))?,
        _ => return Ok(None),
    };
    let key = read_key(&text).map_err(|wrong| WrongInput(format!("REDFLAG_CARD_KEY is {wrong}")))?;
    Ok(Some(Cards::new(&key.0, true)))
}

/// The tokens of a service that has stopped: under the key of the environment, else under that of its data folder.
///
/// # Errors
/// If there is a key that cannot be read.
pub fn kept_cards(folder: &Path) -> Result<Option<Cards>> {
    match cards_of_environment()? {
        None if folder.join(KEY_FILE).exists() => Ok(Some(Cards::new(&kept_key(folder)?.0, true))),
        cards => Ok(cards),
    }
}

/// The key in the data folder; made if there is none.
fn kept_key(folder: &Path) -> Result<Key> {
    let path = folder.join(KEY_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => make_key(&path)?,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    read_key(&text).map_err(|wrong| WrongInput(format!("{} is {wrong}", path.display())).into())
}

/// Writes 32 random bytes that only the owner of the process can read, whole or not at all.
fn make_key(path: &Path) -> Result<String> {
    let partial = path.with_extension("partial");
    let text = random_bytes().map(|bytes| bytes.map(|byte| format!("{byte:02x}")).concat());
    let written = text.and_then(|text| {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(text.as_bytes())?;
        // Tokens that are stored are worth nothing without it.
        file.sync_all()?;
        std::fs::rename(&partial, path)?;
        Ok(text)
    });
    written.with_context(|| format!("cannot make the key of card tokens {}", path.display()))
}

/// From the operating system's generator.
pub fn random_bytes() -> std::io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_either_way_and_never_shown() {
        let hexadecimal = read_key(&"ab".repeat(32)).unwrap();
        let base64 = read_key(&STANDARD.encode([0xab; 32])).unwrap();
        assert_eq!(hexadecimal, base64);
        assert_eq!(format!("{hexadecimal:?}"), "***");
        for wrong in ["secret!", "abab", ""] {
            let said = read_key(wrong).unwrap_err();
            assert!(wrong.is_empty() || !said.contains(wrong), "{said}");
        }
    }

    #[test]
    fn a_key_that_nobody_gave_is_made_once() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("redflag-card-key-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let first = kept_key(&folder).unwrap();
        assert_eq!(kept_key(&folder).unwrap(), first);
        let mode = folder.join(KEY_FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
