//! What nobody can guess.

use ring::rand::{SecureRandom, SystemRandom};

/// So many random bytes, from the operating system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}
