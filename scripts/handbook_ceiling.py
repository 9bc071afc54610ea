"""What can be reached at all on the Fraud Detection Handbook's test folds, with its seven-day delay of labels.

Usage: ${REDFLAG_PEERS:-$HOME/.cache/redflag/peers}/venv/bin/python scripts/handbook_ceiling.py handbook_raw.parquet

Scores every transaction by what nobody could know who has to decide it, and measures that by the Handbook's protocol:

- amounts above 220 are fraud (scenario 1 says so);
- whether a terminal is compromised (scenario 2) is told from the data's own column of scenarios, as soon as one fraud of
  the compromise is known, a week after it happened; before that nothing in the data tells it;
- for compromised cards (scenario 3) Bayes' rule is applied to the simulator's own law: each day 3 of 5,000 cards fall,
  for 14 days a third of their payments are fraud, of five times an ordinary amount, which is normal around the card's
  mean with half of it as standard deviation. The mean is that of all of the card's ordinary amounts, future ones too;
  older payments than a week are known for what they were.

The law: https://fraud-detection-handbook.github.io/fraud-detection-handbook/Chapter_3_GettingStarted/SimulatedDataset.html
"""

import sys

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

DAY_S = 86_400
DELAY_DAYS, TEST_DAYS = 7, 7
FOLDS = {
    "validation": ["2018-07-04", "2018-07-11", "2018-07-18", "2018-07-25"],
    "test": ["2018-08-08", "2018-08-15", "2018-08-22", "2018-08-29"],
}
COMPROMISE_DAYS = 14
FALL_A_DAY = 3 / 5_000
# About the share of frauds among payments that nothing speaks against: it orders those below what little is suspect.
UNSEEN = 0.0008


def load(path):
    columns = ["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD", "TX_FRAUD_SCENARIO"]
    tx = pd.read_parquet(path, columns=columns).astype({"TX_AMOUNT": float})
    since = tx.TX_DATETIME - pd.Timestamp("2018-04-01")
    return pd.DataFrame(
        dict(
            second=(since.dt.total_seconds()).astype(np.int64),
            day=since.dt.days,
            card=tx.CUSTOMER_ID.astype(np.int64),
            terminal=tx.TERMINAL_ID.astype(np.int64),
            amount=tx.TX_AMOUNT,
            fraud=tx.TX_FRAUD.astype(np.int8),
            scenario=tx.TX_FRAUD_SCENARIO.astype(np.int8),
        )
    )


def groups(keys):
    """Rows of each key, in the file's order, which is time order."""
    order = np.argsort(keys, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)


def terminal_is_known(tx):
    """Whether a fraud of scenario 2 at the terminal has become known within five weeks."""
    second, of_terminal = tx.second.to_numpy(), (tx.scenario == 2).to_numpy()
    known = np.zeros(len(tx), bool)
    for rows in groups(tx.terminal.to_numpy()):
        frauds = second[rows][of_terminal[rows]]
        until = np.searchsorted(frauds, second[rows] - DELAY_DAYS * DAY_S, side="right")
        since = np.searchsorted(frauds, second[rows] - 35 * DAY_S, side="right")
        known[rows] = until > since
    return known


def amount_law(amount, mean):
    """Density of an ordinary amount; negative draws are replaced by uniform ones up to twice the mean."""
    return norm.pdf(amount, mean, mean / 2) + norm.cdf(-2) * (amount <= 2 * mean) / (2 * mean)


def card_posterior(tx, wanted):
    """Probability of scenario 3 for the wanted rows, from all that the card has paid up to then."""
    ordinary = np.where(tx.scenario == 3, tx.amount / 5, tx.amount)
    mean = pd.Series(ordinary).groupby(tx.card.to_numpy()).transform("mean").to_numpy()
    amount = tx.amount.to_numpy()
    ratio = amount_law(amount / 5, mean) / 5 / np.maximum(amount_law(amount, mean), 1e-300)
    ratio = np.clip(ratio, 1e-300, 1e12)
    day, second, is_fraud = tx.day.to_numpy(), tx.second.to_numpy(), (tx.scenario == 3).to_numpy()
    posterior = np.zeros(len(tx))
    for rows in groups(tx.card.to_numpy()):
        unknown = np.log(2 / 3 + ratio[rows] / 3)
        known = np.where(is_fraud[rows], np.log(ratio[rows] / 3), np.log(2 / 3))
        for place in np.flatnonzero(wanted[rows]):
            row = rows[place]
            first = np.searchsorted(day[rows], day[row] - COMPROMISE_DAYS + 1)
            before = slice(first, place)
            is_known = second[rows][before] <= second[row] - DELAY_DAYS * DAY_S
            speaks = np.where(is_known, known[before], unknown[before])
            since = np.append(np.cumsum(speaks[::-1])[::-1], 0.0)
            starts = np.searchsorted(day[rows][before], np.arange(day[row] - COMPROMISE_DAYS + 1, day[row] + 1))
            compromised = FALL_A_DAY * np.exp(np.minimum(since[starts], 50)).sum()
            fraud = compromised * ratio[row] / 3
            posterior[row] = fraud / (fraud + compromised * 2 / 3 + 1)
    return posterior


def test_rows(tx, start):
    """The rows of a test week without the cards that are known to be compromised, as the Handbook leaves them out."""
    first = (pd.Timestamp(start) - pd.Timestamp("2018-04-01")).days
    train = first - DELAY_DAYS - TEST_DAYS
    day, card, fraud = tx.day.to_numpy(), tx.card.to_numpy(), tx.fraud.to_numpy() == 1
    known = set(card[(day >= train) & (day < train + 7) & fraud])
    kept = []
    for passed in range(TEST_DAYS):
        known |= set(card[(day == train + 7 + passed - 1) & fraud])
        rows = np.flatnonzero(day == first + passed)
        kept.append(rows[~np.isin(card[rows], list(known))])
    return np.concatenate(kept)


def card_precision(tx, score, top=100):
    """Mean over days of the share of frauds among the most suspect cards; found cards are not looked at again."""
    found, precision = set(), []
    for _, today in tx.assign(score=score).groupby("day"):
        cards = today[~today.card.isin(found)].groupby("card")[["fraud", "score"]].max()
        suspect = cards.sort_values("score", ascending=False).head(top)
        found |= set(suspect.index[suspect.fraud == 1])
        precision.append((suspect.fraud == 1).sum() / top)
    return np.mean(precision)


def main(path):
    tx = load(path)
    rows = {fold: test_rows(tx, fold) for folds in FOLDS.values() for fold in folds}
    wanted = np.zeros(len(tx), bool)
    for of_fold in rows.values():
        wanted[of_fold] = True
    certain = (tx.amount > 220).to_numpy() | ((tx.scenario == 2).to_numpy() & terminal_is_known(tx))
    score = np.where(certain, 1.0, card_posterior(tx, wanted) + UNSEEN)
    for part, folds in FOLDS.items():
        figures = []
        for fold in folds:
            test, of_test = tx.iloc[rows[fold]], score[rows[fold]]
            figures.append(
                (
                    roc_auc_score(test.fraud, of_test),
                    average_precision_score(test.fraud, of_test),
                    card_precision(test, of_test),
                )
            )
            print(part, fold, *(f"{figure:.4f}" for figure in figures[-1]))
        print(part, "mean: AUC ROC, average precision, card precision@100:", *np.round(np.mean(figures, axis=0), 4))


if __name__ == "__main__":
    main(sys.argv[1])
