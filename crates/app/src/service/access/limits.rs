//! How fast somebody may ask: token buckets, one for each key or person, and one for each address that has not said who it is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::service::pipeline::lock;

/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 10_000;

/// A rate, and how far it may be exceeded for a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Requests a second in the long run.
    pub per_second: f64,
    /// Requests at once.
    pub burst: f64,
}

/// What is left of an allowance.
#[derive(Debug, Default)]
pub struct Bucket(Mutex<Option<Level>>);

#[derive(Debug, Clone, Copy)]
struct Level {
    left: f64,
    at: Instant,
}

impl Bucket {
    /// Takes one request out; if there is none left, how long to wait for one.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let mut level = lock(&self.0);
        let left = self.refilled(*level, rate, now);
        let taken = if left >= 1.0 { left - 1.0 } else { left };
        *level = Some(Level { left: taken, at: now });
        if left >= 1.0 { Ok(()) } else { Err(Duration::from_secs_f64((1.0 - left) / rate.per_second)) }
    }

    fn refilled(&self, level: Option<Level>, rate: Rate, now: Instant) -> f64 {
        level.map_or(rate.burst, |level| {
            let passed = now.saturating_duration_since(level.at).as_secs_f64();
            (level.left + passed * rate.per_second).min(rate.burst)
        })
    }
}

/// Buckets of addresses or people.
#[derive(Debug)]
pub struct Buckets<K>(Mutex<HashMap<K, Arc<Bucket>, foldhash::fast::RandomState>>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Buckets(Mutex::default())
    }
}

impl<K: std::hash::Hash + Eq> Buckets<K> {
    /// The bucket of one. When too many are remembered, all are forgotten: who is limited gains one burst by it.
    pub fn of(&self, key: K) -> Arc<Bucket> {
        let mut buckets = lock(&self.0);
        if buckets.len() >= ADDRESSES_MAX {
            buckets.clear();
        }
        Arc::clone(buckets.entry(key).or_default())
    }
}

/// What counts as one address: of IPv6 a network, since everybody has as many addresses as they like.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !((1 << 64) - 1);
            IpAddr::V6(network.into())
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_a_burst_and_then_a_rate() {
        let rate = Rate { per_second: 10.0, burst: 3.0 };
        let (bucket, start) = (Bucket::default(), Instant::now());
        let given = |ms: u64| bucket.take(rate, start + Duration::from_millis(ms));
        assert_eq!([given(0), given(0), given(0)], [Ok(()); 3]);
        assert_eq!(given(0), Err(Duration::from_millis(100)));
        assert!(given(99).is_err());
        assert_eq!(given(101), Ok(()));
        assert!(given(102).is_err());
        assert_eq!((0..5).filter(|_| given(60_000).is_ok()).count(), 3, "no more than a burst is saved up");
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
