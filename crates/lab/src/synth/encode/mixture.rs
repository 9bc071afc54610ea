//! A mixture of normals with as many as the values need: a variational Gaussian mixture over a stick-breaking prior.
//!
//! Bishop, "Pattern Recognition and Machine Learning", 2006, section 10.2; Blei and Jordan, "Variational inference for
//! Dirichlet process mixtures", 2006. Priors are those that CTGAN takes from scikit-learn's `BayesianGaussianMixture`: at most
//! ten components, a concentration of 0.001, components below half a per cent dropped.

/// Most components that are tried.
const COMPONENTS: usize = 10;
const CONCENTRATION: f64 = 0.001;
const WEIGHT_MIN: f64 = 0.005;
const ROUNDS: usize = 100;
/// Values that are looked at; more make no difference that shows.
const VALUES_MAX: usize = 10_000;

/// One normal of a mixture.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Mode {
    /// Its share of the values.
    pub weight: f64,
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
}

impl Mode {
    /// Logarithm of the weighted density, up to a constant.
    pub(super) fn log_density(&self, value: f64) -> f64 {
        let distance = (value - self.mean) / self.deviation;
        self.weight.ln() - self.deviation.ln() - 0.5 * distance * distance
    }
}

/// The posterior of one component.
#[derive(Debug, Clone, Copy)]
struct Component {
    /// Expected number of values.
    count: f64,
    mean: f64,
    /// Precision of the mean, in units of the component's.
    beta: f64,
    /// Degrees of freedom and scale of the precision's Wishart distribution in one dimension.
    freedom: f64,
    scale: f64,
}

/// The modes of values, by mean; none of no values, one of one value.
pub fn modes(values: &[f64]) -> Vec<Mode> {
    let step = values.len().div_ceil(VALUES_MAX).max(1);
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let sample: Vec<f64> = sorted.iter().copied().step_by(step).collect();
    let Some((mean, variance)) = moments(&sample) else { return Vec::new() };
    if variance <= 0.0 {
        return vec![Mode { weight: 1.0, mean, deviation: mean.abs().max(1.0) * 1e-6 }];
    }
    let mut components = begin(&sample, mean, variance);
    for _ in 0..ROUNDS {
        let before = components;
        components = round(&sample, &components, mean, variance);
        let moved = |at: usize| (components[at].count - before[at].count).abs();
        if (0..COMPONENTS).map(moved).fold(0.0, f64::max) < 1e-3 * sample.len() as f64 {
            break;
        }
    }
    finished(&components, sample.len() as f64)
}

fn moments(values: &[f64]) -> Option<(f64, f64)> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    (!values.is_empty()).then_some((mean, variance))
}

/// Equal parts of the sorted values.
fn begin(sorted: &[f64], mean: f64, variance: f64) -> [Component; COMPONENTS] {
    std::array::from_fn(|at| {
        let part = &sorted[at * sorted.len() / COMPONENTS..(at + 1) * sorted.len() / COMPONENTS];
        let (center, spread) = moments(part).unwrap_or((mean, variance));
        posterior(part.len() as f64, center, spread.max(variance * 1e-6), mean, variance)
    })
}

/// Bishop's (10.58) to (10.63) in one dimension, with the prior mean that of all values and the prior scale their variance.
fn posterior(count: f64, center: f64, spread: f64, mean: f64, variance: f64) -> Component {
    let beta = 1.0 + count;
    let freedom = 1.0 + count;
    let pulled = count / beta * (center - mean) * (center - mean);
    Component {
        count,
        mean: (mean + count * center) / beta,
        beta,
        freedom,
        scale: 1.0 / (variance + count * spread + pulled),
    }
}

/// One round: which value belongs to whom, then who is what.
fn round(
    values: &[f64],
    components: &[Component; COMPONENTS],
    mean: f64,
    variance: f64,
) -> [Component; COMPONENTS] {
    let weights = log_weights(components);
    let constants: [f64; COMPONENTS] = std::array::from_fn(|at| {
        let of = &components[at];
        weights[at] + 0.5 * (digamma(of.freedom / 2.0) + std::f64::consts::LN_2 + of.scale.ln())
            - 0.5 / of.beta
    });
    let mut sums = [[0.0; 3]; COMPONENTS];
    for value in values {
        let shares = responsibilities(*value, components, &constants);
        for (sums, share) in sums.iter_mut().zip(shares) {
            sums[0] += share;
            sums[1] += share * value;
            sums[2] += share * value * value;
        }
    }
    std::array::from_fn(|at| {
        let [count, sum, squares] = sums[at];
        let center = if count > 1e-9 { sum / count } else { mean };
        let spread =
            if count > 1e-9 { (squares / count - center * center).max(variance * 1e-9) } else { variance };
        posterior(count, center, spread, mean, variance)
    })
}

fn responsibilities(
    value: f64,
    components: &[Component; COMPONENTS],
    constants: &[f64; COMPONENTS],
) -> [f64; COMPONENTS] {
    let mut logs: [f64; COMPONENTS] = std::array::from_fn(|at| {
        let of = &components[at];
        constants[at] - 0.5 * of.freedom * of.scale * (value - of.mean) * (value - of.mean)
    });
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logs.iter_mut().for_each(|log| *log = (*log - most).exp());
    let total: f64 = logs.iter().sum();
    logs.map(|share| share / total)
}

/// Expected logarithms of the stick-breaking weights, the largest component first, as scikit-learn orders them not but theory
/// would.
fn log_weights(components: &[Component; COMPONENTS]) -> [f64; COMPONENTS] {
    let mut after: f64 = components.iter().map(|of| of.count).sum();
    let mut passed = 0.0;
    std::array::from_fn(|at| {
        after -= components[at].count;
        let (taken, left) = (1.0 + components[at].count, CONCENTRATION + after.max(0.0));
        let total = digamma(taken + left);
        let log = passed + digamma(taken) - total;
        passed += digamma(left) - total;
        log
    })
}

fn finished(components: &[Component; COMPONENTS], total: f64) -> Vec<Mode> {
    let kept = components.iter().filter(|of| of.count / total > WEIGHT_MIN);
    let mut modes: Vec<Mode> = kept
        .map(|of| Mode {
            weight: of.count / total,
            mean: of.mean,
            deviation: (1.0 / (of.freedom * of.scale)).sqrt(),
        })
        .collect();
    modes.sort_unstable_by(|a, b| a.mean.total_cmp(&b.mean));
    modes
}

/// The derivative of the logarithm of the gamma function (Abramowitz and Stegun, 6.3.5 and 6.3.18).
fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < 6.0 {
        below -= 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    below + x.ln()
        - 0.5 / x
        - square * (1.0 / 12.0 - square * (1.0 / 120.0 - square * (1.0 / 252.0 - square / 240.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn two_modes_are_found_where_there_are_two() {
        let mut chance = Stream::at(1, 0, 0, 0);
        let values: Vec<f64> = (0..5_000)
            .map(|at| if at % 4 == 0 { 100.0 + 3.0 * chance.normal() } else { chance.normal() })
            .collect();
        let found = modes(&values);
        let of = |low: f64, high: f64| -> f64 {
            found.iter().filter(|mode| (low..high).contains(&mode.mean)).map(|mode| mode.weight).sum()
        };
        assert!((of(-3.0, 3.0) - 0.75).abs() < 0.02, "{found:?}");
        assert!((of(90.0, 110.0) - 0.25).abs() < 0.02, "{found:?}");
    }

    /// scipy.special.digamma.
    #[test]
    fn digamma_is_that_of_scipy() {
        for (x, expected) in
            [(0.5, -1.963_510_026_021_423_5), (1.0, -0.577_215_664_901_532_9), (7.3, 1.917_820_335_637_986)]
        {
            assert!((digamma(x) - expected).abs() < 1e-8, "{x}: {}", digamma(x));
        }
    }
}
