//! A number per point of a quadrature rule.

use std::array::from_fn;
use std::ops::{Add, AddAssign, Mul};

/// Aligned, so that it is loaded and stored whole; its operations are element by element.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(32))]
pub(super) struct Vector<const N: usize>(pub [f64; N]);

impl<const N: usize> Vector<N> {
    pub const ZERO: Vector<N> = Vector([0.0; N]);
    pub const ONE: Vector<N> = Vector([1.0; N]);

    /// The same number at every point.
    #[inline(always)]
    pub fn all(x: f64) -> Vector<N> {
        Vector([x; N])
    }

    #[inline(always)]
    pub fn inverse(self) -> Vector<N> {
        Vector(from_fn(|at| 1.0 / self.0[at]))
    }

    pub fn sum(self) -> f64 {
        self.0.iter().sum()
    }
}

impl<const N: usize> Add for Vector<N> {
    type Output = Vector<N>;

    #[inline(always)]
    fn add(self, other: Vector<N>) -> Vector<N> {
        Vector(from_fn(|at| self.0[at] + other.0[at]))
    }
}

impl<const N: usize> AddAssign for Vector<N> {
    #[inline(always)]
    fn add_assign(&mut self, other: Vector<N>) {
        *self = *self + other;
    }
}

impl<const N: usize> Mul for Vector<N> {
    type Output = Vector<N>;

    #[inline(always)]
    fn mul(self, other: Vector<N>) -> Vector<N> {
        Vector(from_fn(|at| self.0[at] * other.0[at]))
    }
}

impl<const N: usize> Mul<f64> for Vector<N> {
    type Output = Vector<N>;

    #[inline(always)]
    fn mul(self, x: f64) -> Vector<N> {
        Vector(from_fn(|at| self.0[at] * x))
    }
}
