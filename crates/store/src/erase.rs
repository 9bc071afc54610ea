//! An id that is to be nowhere any more, and what stands for it instead.

/// An id and its tombstone, as they stand in columns, in events and in what people wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The id.
    pub value: String,
    /// What stands for it from now on.
    pub tombstone: String,
    /// The field with the id as canonical JSON writes it: `"customer_id":"c7"`.
    pub member: String,
    /// The same with the tombstone.
    pub erased_member: String,
    /// Whether the field is the key: decisions and alerts are found by it.
    pub is_key: bool,
    /// Whether the field is the transaction's id.
    pub is_id: bool,
}

/// How many rows an id was erased from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Erased {
    /// Decisions with their events.
    pub decisions: u64,
    /// Alerts.
    pub alerts: u64,
    /// Notes on alerts that quote it.
    pub notes: u64,
    /// Rejections whose body or reason quote it.
    pub rejections: u64,
}

impl Erasure {
    /// A text in which the tombstone stands wherever the id stood as a word of its own; `None` if it stood nowhere.
    pub fn erased_from(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut written = 0;
        for (at, found) in text.match_indices(&self.value) {
            let end = at + found.len();
            let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            if at >= written
                && !is_part(text[..at].chars().next_back())
                && !is_part(text[end..].chars().next())
            {
                out.push_str(&text[written..at]);
                out.push_str(&self.tombstone);
                written = end;
            }
        }
        (written > 0).then(|| out + &text[written..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_erased_as_a_word_and_not_within_others() {
        let erasure = Erasure {
            value: "c7".into(),
            tombstone: "erased:x".into(),
            member: String::new(),
            erased_member: String::new(),
            is_key: true,
            is_id: false,
        };
        assert_eq!(
            erasure.erased_from("c7 and c77, \"c7\"; abc7"),
            Some("erased:x and c77, \"erased:x\"; abc7".into())
        );
        assert_eq!(erasure.erased_from("c77 abc7"), None);
    }
}
