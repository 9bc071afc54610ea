//! Gauss-Legendre quadrature on [0, 1].

use std::array::from_fn;
use std::f64::consts::PI;

use super::vector::Vector;

/// N points of a rule: where they are, how far that is from 1, and their weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Points<const N: usize> {
    pub at: Vector<N>,
    pub rest: Vector<N>,
    pub weights: Vector<N>,
}

/// The rule of `N * passes` points, N at a time. It integrates polynomials of degree up to `2 * N * passes - 1`
/// exactly.
pub(super) fn gauss_legendre<const N: usize>(passes: usize) -> Vec<Points<N>> {
    let count = N * passes;
    let points: Vec<[f64; 3]> = (0..count).map(|index| point(count, index)).collect();
    let vector = |points: &[[f64; 3]], part: usize| Vector(from_fn(|at| points[at][part]));
    points
        .chunks_exact(N)
        .map(|some| Points { at: vector(some, 0), rest: vector(some, 1), weights: vector(some, 2) })
        .collect()
}

/// Newton's iteration from the usual first guess (Press et al. 2007, "Numerical Recipes", section 4.6).
fn point(count: usize, index: usize) -> [f64; 3] {
    let mut x = (PI * (index as f64 + 0.75) / (count as f64 + 0.5)).cos();
    // It converges quadratically: four steps do, the others are for certainty.
    for _ in 0..10 {
        let (value, slope) = legendre(count, x);
        x -= value / slope;
    }
    let (_, slope) = legendre(count, x);
    [0.5 * (1.0 - x), 0.5 * (1.0 + x), 1.0 / ((1.0 - x * x) * slope * slope)]
}

/// Value and slope of the Legendre polynomial, by Bonnet's recursion.
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (0.0, 1.0);
    for k in 1..=degree {
        let k = k as f64;
        (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
    }
    (value, degree as f64 * (x * value - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_integrated_exactly() {
        for passes in [1, 2, 25] {
            let rule = gauss_legendre::<4>(passes);
            for power in 0..8 * passes {
                let points = rule.iter().flat_map(|points| points.at.0.into_iter().zip(points.weights.0));
                let sum: f64 = points.map(|(at, weight)| weight * at.powi(power as i32)).sum();
                let exact = 1.0 / (power + 1) as f64;
                assert!((sum - exact).abs() < 1e-14, "{passes} passes, power {power}: {sum}, not {exact}");
            }
        }
    }
}
