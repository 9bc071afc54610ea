//! Which trace a request belongs to: `traceparent` of W3C Trace Context (<https://www.w3.org/TR/trace-context/#traceparent-header>),
//! and whether it is sampled.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::service::access::random::random;

/// The header, over HTTP and in Kafka's records.
pub const TRACEPARENT: &str = "traceparent";

/// Bits of a trace id that chance is read from, as OpenTelemetry's consistent samplers do.
const CHANCE: u64 = (1 << 56) - 1;

/// The place of a request, or of a record, in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub id: u128,
    /// The span of the request here.
    pub span: u64,
    /// The caller's span; 0 if there is none.
    pub caller: u64,
    /// Whether its spans are kept.
    pub is_sampled: bool,
}

/// What the caller says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    id: u128,
    span: u64,
    is_sampled: bool,
}

impl Parent {
    /// Reads a `traceparent`; `None` if it is none, and then the trace begins here.
    pub fn parse(text: &[u8]) -> Option<Parent> {
        let fields = text.get(..55)?;
        let is_separated = fields[2] == b'-' && fields[35] == b'-' && fields[52] == b'-';
        let version = hex(&fields[..2])?;
        // Later versions may have more fields, after another dash.
        let ends_well = text.len() == 55 || (version != 0 && text[55] == b'-');
        let (id, span, flags) = (hex(&fields[3..35])?, hex(&fields[36..52])? as u64, hex(&fields[53..55])?);
        let is_valid = is_separated && ends_well && version != 0xff && id != 0 && span != 0;
        is_valid.then_some(Parent { id, span, is_sampled: flags & 1 == 1 })
    }
}

impl Trace {
    /// What is told to whoever continues it.
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.id, self.span, u8::from(self.is_sampled))
    }
}

/// Digits must be lower case.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// Makes ids, and says what is sampled.
#[derive(Debug)]
pub struct Sampler {
    /// What chance must reach.
    threshold: u64,
    next: AtomicU64,
}

impl Sampler {
    /// One that keeps this share of traces that begin here.
    pub fn new(share: f64) -> Sampler {
        let threshold = ((1.0 - share) * (CHANCE + 1) as f64) as u64;
        Sampler { threshold, next: AtomicU64::new(u64::from_le_bytes(random())) }
    }

    /// Continues the caller's trace, which says whether it is sampled, or begins one.
    pub fn trace(&self, parent: Option<Parent>) -> Trace {
        let span = self.span();
        match parent {
            Some(parent) => Trace { id: parent.id, span, caller: parent.span, is_sampled: parent.is_sampled },
            None => {
                let low = self.span();
                let id = u128::from(self.span()) << 64 | u128::from(low);
                Trace { id, span, caller: 0, is_sampled: low & CHANCE >= self.threshold }
            }
        }
    }

    /// The id of a span: never 0, and not again for a very long time.
    pub fn span(&self) -> u64 {
        mixed(self.next.fetch_add(1, Ordering::Relaxed)).max(1)
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): neighbours become strangers, and no two numbers the same.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        let parent = Parent::parse(GIVEN.as_bytes()).unwrap();
        assert_eq!(
            (parent.id, parent.span, parent.is_sampled),
            (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7, true)
        );
        let trace = Sampler::new(0.0).trace(Some(parent));
        assert!(trace.is_sampled && trace.caller == parent.span && trace.span != parent.span);
        assert_eq!(Trace { span: parent.span, ..trace }.traceparent(), GIVEN);
        let later = format!("01{}-more", &GIVEN[2..]);
        assert_eq!(Parent::parse(later.as_bytes()), Some(parent));
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let none = |text: &str| assert_eq!(Parent::parse(text.as_bytes()), None, "{text}");
        for at in 0..GIVEN.len() {
            none(&GIVEN[..at]);
        }
        none(&GIVEN.to_uppercase());
        none(&GIVEN.replacen("00", "ff", 1));
        none(&format!("{GIVEN}-more"));
        none(&GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)));
        none(&GIVEN.replace("00f067aa0ba902b7", &"0".repeat(16)));
        none("00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01");
    }

    #[test]
    fn so_many_are_sampled_as_is_said() {
        let sampled = |share: f64| {
            let sampler = Sampler::new(share);
            (0..100_000).filter(|_| sampler.trace(None).is_sampled).count()
        };
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 100_000));
        let some = sampled(0.01);
        // Ten standard deviations.
        assert!((700..=1_300).contains(&some), "{some}");
    }
}
