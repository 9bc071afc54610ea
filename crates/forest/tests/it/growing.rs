//! Growing: the same forest for a seed on any number of threads, and input that is refused.

use forest::grow::{Algorithm, Params, grow};
use forest::{Forest, Scratch};

use crate::table::{Sample, sample};

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Gbdt, Algorithm::RandomForest, Algorithm::DecisionTree];

fn grown(sample: &Sample, params: &Params, threads: usize) -> Forest {
    grow(&sample.table(), params, threads, &mut |_| {}).expect("a good table")
}

#[test]
fn threads_do_not_show() {
    let sample = sample(3000, 7, 1);
    for algorithm in ALGORITHMS {
        let params = Params {
            trees: if algorithm == Algorithm::DecisionTree { 1 } else { 20 },
            ..Params::defaults(algorithm)
        };
        let one = grown(&sample, &params, 1).to_json();
        for threads in [2, 4] {
            assert!(grown(&sample, &params, threads).to_json() == one, "{algorithm} on {threads} threads");
        }
    }
}

#[test]
fn scores_separate_the_classes() {
    let sample = sample(4000, 6, 2);
    for algorithm in ALGORITHMS {
        let forest = grown(&sample, &Params::defaults(algorithm), 2);
        let mut scores = Vec::new();
        forest.scorer().score_batch(&sample.rows(), &mut Scratch::default(), &mut scores);
        let mean = |class: bool| {
            let of: Vec<f64> =
                scores.iter().zip(&sample.labels).filter(|(_, l)| **l == class).map(|(s, _)| *s).collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        assert!(mean(true) > mean(false) + 0.1, "{algorithm}: {} {}", mean(true), mean(false));
    }
}
