//! A distribution as its quantiles, and the normal one.

/// Quantiles of values at even steps from the smallest to the largest.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Quantiles {
    knots: Vec<f64>,
}

impl Quantiles {
    /// Of at most so many knots; `None` of no values. Missing values are not counted.
    pub fn of(values: impl Iterator<Item = f64>, knots: usize) -> Option<Quantiles> {
        let mut sorted: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        if sorted.is_empty() {
            return None;
        }
        let count = knots.min(sorted.len()).max(2);
        let knots = (0..count).map(|at| between(&sorted, at as f64 / (count - 1) as f64)).collect();
        Some(Quantiles { knots })
    }

    /// The value below which this share lies.
    pub fn value(&self, share: f64) -> f64 {
        between(&self.knots, share)
    }

    /// The share of values below one: in the middle of the step where many are the same.
    pub fn share(&self, value: f64) -> f64 {
        let below = self.knots.partition_point(|knot| *knot < value);
        let up_to = self.knots.partition_point(|knot| *knot <= value);
        let last = (self.knots.len() - 1) as f64;
        if up_to > below {
            return (below + up_to - 1) as f64 / 2.0 / last;
        }
        if below == 0 || below == self.knots.len() {
            return if below == 0 { 0.0 } else { 1.0 };
        }
        let (low, high) = (self.knots[below - 1], self.knots[below]);
        (below as f64 - 1.0 + (value - low) / (high - low)) / last
    }
}

/// Between the two nearest of sorted values.
fn between(sorted: &[f64], share: f64) -> f64 {
    let place = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * part
}

/// The value below which a share of the standard normal distribution lies (Acklam's rational approximation, relative error
/// below 1.2e-9), for shares strictly between 0 and 1.
pub fn normal_quantile(share: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.383577518672690e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 5] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 4] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];
    let polynomial = |of: &[f64], x: f64| of.iter().fold(0.0, |sum, factor| sum * x + factor);
    let tail = |share: f64| {
        let x = (-2.0 * libm::log(share)).sqrt();
        polynomial(&C, x) / (polynomial(&D, x) * x + 1.0)
    };
    match share {
        low if low < 0.02425 => tail(low),
        high if high > 1.0 - 0.02425 => -tail(1.0 - high),
        middle => {
            let x = middle - 0.5;
            let square = x * x;
            polynomial(&A, square) * x / (polynomial(&B, square) * square + 1.0)
        }
    }
}

/// The share of the standard normal distribution below a value.
pub fn normal_share(value: f64) -> f64 {
    0.5 * libm::erfc(-value / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_quantile_is_that_share() {
        let quantiles =
            Quantiles::of((0..1_000).map(|value| f64::from(value) * f64::from(value)), 64).unwrap();
        for share in [0.0, 0.1, 0.37, 0.5, 0.999, 1.0] {
            assert!((quantiles.share(quantiles.value(share)) - share).abs() < 1e-9);
        }
    }

    #[test]
    fn values_that_are_all_the_same_are_in_the_middle() {
        let quantiles = Quantiles::of([3.0; 10].into_iter(), 64).unwrap();
        assert_eq!((quantiles.share(3.0), quantiles.value(0.2)), (0.5, 3.0));
    }

    #[test]
    fn the_normal_quantile_is_the_inverse_of_its_share() {
        for share in [1e-6, 0.01, 0.3, 0.5, 0.9, 0.99999] {
            assert!((normal_share(normal_quantile(share)) / share - 1.0).abs() < 1e-7, "{share}");
        }
    }
}
