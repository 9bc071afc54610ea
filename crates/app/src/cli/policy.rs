//! `redflag policy`: how a score becomes an outcome, which running services follow.

use anyhow::Result;
use clap::Subcommand;
use engine::decide::{Basis, Policy};

use super::WrongInput;
use super::model::registry::Signed;
use super::rules::desk::{At, Desk};
use crate::registry::rulebooks::change;

/// Look at how a score becomes an outcome, and change it while services run.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the policy that holds
    Show,
    /// Set thresholds of the score, or costs that they follow from
    Set(Set),
}

/// Either both thresholds or both costs.
#[derive(Debug, clap::Args)]
struct Set {
    /// The score from which a transaction is reviewed, 0 to 1
    #[arg(long, value_name = "SCORE", requires = "decline", conflicts_with_all = ["review_cost", "false_decline_cost"])]
    review: Option<f64>,
    /// The score from which it is declined, 0 to 1
    #[arg(long, value_name = "SCORE", requires = "review")]
    decline: Option<f64>,
    /// What a review costs, in the currency's major units
    #[arg(long, value_name = "AMOUNT", requires = "false_decline_cost")]
    review_cost: Option<f64>,
    /// What declining a genuine transaction costs
    #[arg(long, value_name = "AMOUNT", requires = "review_cost")]
    false_decline_cost: Option<f64>,
    /// Reviews a day that people can do: the next training makes it the model's least score for a review
    #[arg(long, value_name = "REVIEWS")]
    daily_review_budget: Option<f64>,
    #[command(flatten)]
    signed: Signed,
}

/// Runs the command.
///
/// # Errors
/// If the registry cannot be used, or the policy has mistakes.
pub fn run(args: Args) -> Result<()> {
    let desk = args.at.desk()?;
    match args.what {
        What::Show => show(&desk),
        What::Set(set) => {
            let policy = set.policy()?;
            desk.publish(None, &set.signed, |book| Ok(change::set_policy(book, policy, None)))
        }
    }
}

impl Set {
    fn policy(&self) -> Result<Policy> {
        let basis = match (self.review, self.decline, self.review_cost, self.false_decline_cost) {
            (Some(review), Some(decline), ..) => Basis::Thresholds { review, decline },
            (.., Some(review), Some(false_decline)) => Basis::Costs { review, false_decline },
            _ => {
                let expected = "--review and --decline, or --review-cost and --false-decline-cost";
                return Err(WrongInput(format!("nothing says what the policy is: give {expected}")).into());
            }
        };
        Ok(Policy { basis, daily_review_budget: self.daily_review_budget })
    }
}

fn show(desk: &Desk) -> Result<()> {
    let policy = desk.in_force()?.rulebook.policy;
    if desk.json {
        println!("{}", serde_json::to_string_pretty(&policy)?);
        return Ok(());
    }
    match policy.basis {
        Basis::Thresholds { review, decline } => println!("review from {review}, decline from {decline}"),
        Basis::Costs { review, false_decline } => {
            println!("a review costs {review}, a false decline {false_decline}");
        }
    }
    policy.daily_review_budget.iter().for_each(|budget| println!("{budget} reviews a day"));
    Ok(())
}
