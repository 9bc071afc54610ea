//! Fingerprints say whether two definitions mean the same, whatever their files look like.

/// FNV-1a, 64 bits (Fowler, Noll, Vo), as 16 hexadecimal digits. It tells definitions apart; it is no defence against
/// somebody who wants two to collide.
pub(crate) fn fingerprint(parts: impl Iterator<Item = String>) -> String {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = OFFSET_BASIS;
    for part in parts {
        // 0xff never occurs in UTF-8, so no two lists of parts run together.
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    }
    format!("{hash:016x}")
}
