//! The crate from outside.

mod growing;
mod table;
