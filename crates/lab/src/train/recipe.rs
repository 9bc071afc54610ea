//! How a model is made of a training set.

use forest::grow::Params;

use super::threshold::Threshold;
use crate::balance::Balance;
use crate::calibrate;
use crate::engines::Grower;
use crate::synth::made::{MadeFrauds, PARAMETER};

/// How a model is made of a training set.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What grows the trees, and how.
    pub grower: Grower,
    /// How classes are brought closer to each other, in what is learnt from and nowhere else.
    pub balance: Option<Balancing>,
    /// How scores become probabilities; without one, only what balancing did to the prior is undone.
    pub calibrate: Option<calibrate::Method>,
    /// From which score on transactions are reviewed.
    pub threshold: Option<Threshold>,
    /// Whether the detector's daily review budget says so where no threshold is asked for.
    pub follows_policy: bool,
}

/// How classes are brought closer to each other.
#[derive(Debug, Clone, PartialEq)]
pub enum Balancing {
    /// Every fraud weighs as much as all genuine transactions divided by all frauds of what is learnt from.
    Weights,
    /// Other rows.
    Rows(Balance),
    /// Frauds that a generator makes.
    Made(MadeFrauds),
}

impl Recipe {
    /// redflag's own grower with these parameters, and nothing else.
    pub fn plain(params: Params) -> Recipe {
        let grower = Grower::Builtin(params);
        Recipe { grower, balance: None, calibrate: None, threshold: None, follows_policy: true }
    }

    /// What is asked for beside the parameters of growing, by name.
    pub(super) fn in_words(&self) -> impl Iterator<Item = (String, String)> {
        let balance = self.balance.as_ref().map(|balancing| match balancing {
            Balancing::Weights => "weights".to_string(),
            Balancing::Rows(balance) => format!("{}:{}", balance.method, balance.fraud_share),
            Balancing::Made(made) => format!("made:{made:?}"),
        });
        let made = match &self.balance {
            Some(Balancing::Made(made)) => Some(made.generator.facts.mark()),
            _ => None,
        };
        let calibrate = self.calibrate.map(|method| method.to_string());
        let threshold = self.threshold.map(|threshold| threshold.to_string());
        let entries =
            [("balance", balance), (PARAMETER, made), ("calibrate", calibrate), ("review", threshold)];
        entries.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)))
    }
}
