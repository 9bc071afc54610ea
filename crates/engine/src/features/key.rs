//! The id of an entity, kept within the entity where it is short.

/// What fits the 24 bytes that a boxed text and its tag take anyway.
const SHORT_MAX: usize = 22;

/// An id. Nearly all are short: to compare one costs no further wait for memory.
#[derive(Debug, Clone)]
pub(super) enum Key {
    Short { len: u8, bytes: [u8; SHORT_MAX] },
    Long(Box<str>),
}

impl Default for Key {
    fn default() -> Self {
        Key::Short { len: 0, bytes: [0; SHORT_MAX] }
    }
}

impl Key {
    pub fn new(text: &str) -> Key {
        if text.len() > SHORT_MAX {
            return Key::Long(text.into());
        }
        let mut bytes = [0; SHORT_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Key::Short { len: text.len() as u8, bytes }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Key::Short { len, bytes } => {
                std::str::from_utf8(&bytes[..usize::from(*len)]).expect("it was copied from a whole text")
            }
            Key::Long(text) => text,
        }
    }

    #[inline]
    pub fn is(&self, text: &str) -> bool {
        match self {
            Key::Short { len, bytes } => bytes[..usize::from(*len)] == *text.as_bytes(),
            Key::Long(long) => **long == *text,
        }
    }

    /// Memory outside of the key itself.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Key::Short { .. } => 0,
            Key::Long(text) => text.len(),
        }
    }
}
