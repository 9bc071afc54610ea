//! The chain of hashes, in the manner of Haber and Stornetta (1991): each entry vouches for all before it.

use openssl::sha::Sha256;

use super::{AuditEntry, Hash, NewAuditEntry};

/// What makes entries that are stored under a number follow from one another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// The number of the last entry that follows; 0 before the first.
    pub number: i64,
    /// Its hash.
    pub hash: Hash,
    /// The first entry that does not.
    pub flaw: Option<Flaw>,
}

/// An entry that does not follow from the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// There is no entry of this number, but later ones.
    Missing(i64),
    /// The entry of this number, or its hash, is not what was written.
    Changed(i64),
}

impl Chain {
    /// The next entry; false if it does not follow.
    pub fn take(&mut self, entry: &AuditEntry) -> bool {
        let wanted = self.number + 1;
        let hash = self.next(&entry.entry);
        self.flaw = match () {
            () if entry.number != wanted => Some(Flaw::Missing(wanted)),
            () if entry.hash != hash => Some(Flaw::Changed(wanted)),
            () => None,
        };
        if self.flaw.is_none() {
            (self.number, self.hash) = (wanted, hash);
        }
        self.flaw.is_none()
    }

    /// The hash of an entry that comes next. Lengths are hashed too, so no two entries have the same bytes.
    pub fn next(&self, entry: &NewAuditEntry) -> Hash {
        let mut sha = Sha256::new();
        sha.update(&self.hash.0);
        sha.update(&(self.number + 1).to_be_bytes());
        sha.update(&entry.at_us.to_be_bytes());
        for text in [&entry.by, &entry.roles, &entry.action, &entry.subject, &entry.detail, &entry.outcome] {
            sha.update(&(text.len() as u64).to_be_bytes());
            sha.update(text.as_bytes());
        }
        Hash(sha.finish())
    }

    /// Numbers and hashes for entries that come next, in their order.
    pub(super) fn link(
        mut self,
        entries: &[NewAuditEntry],
    ) -> impl Iterator<Item = (i64, Hash, &NewAuditEntry)> {
        entries.iter().map(move |entry| {
            self.hash = self.next(entry);
            self.number += 1;
            (self.number, self.hash, entry)
        })
    }
}
