"""A redflag model for Python: the same margins as redflag's own, to the last bit, and the same scores.

redflag puts this module beside each model that it logs to MLflow, where `mlflow.pyfunc.load_model` finds it. It needs
NumPy and pandas, and nothing of redflag.
"""

import json
import math
import sys

import numpy as np
import pandas as pd

# What LightGBM takes for zero: a single-precision 1e-35.
ZERO_MAX = float(np.float32(1e-35))

# A score this near to 0 or 1 is taken for this by a calibration, so that its logarithm is finite.
NEAREST = 1e-15

# Outputs of trees that are worked on at a time: little enough for a processor's cache.
OUTPUTS_AT_ONCE = 1 << 17


def _load_pyfunc(path):
    """What MLflow calls with the path of the model file."""
    with open(path, encoding="utf-8") as file:
        return Model(json.load(file))


class Model:
    """A model file of redflag, read."""

    def __init__(self, document):
        found = document.get("format"), document.get("version")
        if found != ("redflag-model", 1):
            raise ValueError(f"format {found[0]!r}, version {found[1]!r}: expected 'redflag-model', version 1")
        self.features = document["forest"]["features"]
        self.forest = Forest(document["forest"])
        self.calibration = document.get("calibration")

    def predict(self, model_input, params=None):
        """The probability of fraud of each row, shape (rows,); with `params={"raw": True}` the raw margin instead.

        `model_input` is a DataFrame with the features by name, in any order and among others, or a matrix of shape
        (rows, features) in the model's order. NaN is a missing value.
        """
        margins = self.forest.margins(self._matrix(model_input))
        if params and params.get("raw"):
            return margins
        scores = self.forest.scores(margins)
        return scores if self.calibration is None else calibrated(self.calibration, scores)

    def _matrix(self, rows):
        if isinstance(rows, pd.DataFrame):
            absent = [name for name in self.features if name not in rows.columns]
            if absent:
                raise ValueError(f"the data lacks the features {', '.join(absent)}")
            return rows[self.features].to_numpy(dtype=np.float64, na_value=np.nan)
        matrix = np.asarray(rows, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.features):
            raise ValueError(f"the data has shape {matrix.shape}: expected (rows, {len(self.features)})")
        return matrix


class Forest:
    """The nodes of all trees in one array for each of their properties."""

    def __init__(self, document):
        trees = [tree["nodes"] for tree in document["trees"]]
        self.single_values = document["values"] == "single"
        self.output = document["output"]
        self.roots = np.cumsum([0] + [len(nodes) for nodes in trees[:-1]])
        nodes = [node for tree in trees for node in tree]

        def each(value, kind):
            return np.array([value(node) for node in nodes], dtype=kind)

        first = np.repeat(self.roots, [len(nodes) for nodes in trees])
        self.is_leaf = each(lambda node: "leaf" in node, bool)
        self.leaf = each(lambda node: node.get("leaf", 0.0), np.float64)
        self.feature = each(lambda node: node.get("feature", 0), np.intp)
        self.left = first + each(lambda node: node.get("left", 0), np.intp)
        self.right = first + each(lambda node: node.get("right", 0), np.intp)
        self.below = each(least_that_fails, np.float64)
        self.missing_left = each(lambda node: node.get("missing") == "left", bool)
        self.zero_is_missing = each(lambda node: node.get("missing_values") == "nan-or-zero", bool)
        self.missing_is_zero = each(lambda node: node.get("missing_values") == "never", bool)
        # A set of categories: the ascending bounds of its ranges, each from and to.
        self.bounds = {at: np.ravel(node["within"]) for at, node in enumerate(nodes) if "within" in node}
        self.has_bounds = each(lambda node: "within" in node, bool)

    def margins(self, values):
        """The raw margin of each row of `values`, shape (rows, features)."""
        if self.single_values:
            with np.errstate(over="ignore"):
                values = values.astype(np.float32).astype(np.float64)
        step = max(1, OUTPUTS_AT_ONCE // len(self.roots))
        blocks = [values[at : at + step] for at in range(0, len(values), step)]
        return np.concatenate([self._margin(self._outputs(block)) for block in blocks] or [np.empty(0)])

    def scores(self, margins):
        """What the margins mean: probabilities, if that is what the forest gives."""
        link = self.output["link"]
        if link == "logistic":
            return logistic(self.output.get("slope", 1.0) * margins)
        if link == "probability":
            return np.clip(margins, 0.0, 1.0)
        if link == "exponential":
            return exp(margins)
        return margins / self.output.get("score_divisor", 1.0) if link == "mean" else margins

    def _outputs(self, values):
        """The leaf of each tree for each row, shape (trees, rows)."""
        rows = len(values)
        at = np.repeat(self.roots, rows)
        walking = np.flatnonzero(~self.is_leaf[at])
        while walking.size:
            node = at[walking]
            left = self._goes_left(node, values[walking % rows, self.feature[node]])
            at[walking] = np.where(left, self.left[node], self.right[node])
            walking = walking[~self.is_leaf[at[walking]]]
        return self.leaf[at].reshape(len(self.roots), rows)

    def _goes_left(self, node, x):
        nan = np.isnan(x)
        x = np.where(nan & self.missing_is_zero[node], 0.0, x)
        passes = x < self.below[node]
        among = np.flatnonzero(self.has_bounds[node])
        for at in np.unique(node[among]):
            here = among[node[among] == at]
            passes[here] = np.searchsorted(self.bounds[at], x[here], side="right") % 2 == 1
        missing = (nan & ~self.missing_is_zero[node]) | (self.zero_is_missing[node] & (np.abs(x) <= ZERO_MAX))
        return np.where(missing, self.missing_left[node], passes)

    def _margin(self, outputs):
        """The trees' outputs, added in the order and precision that the model says."""
        summation, start = self.output["summation"], self.output["start"]
        single = summation == "single"
        if summation == "eight-lanes":
            lanes = [in_turn(0.0, outputs[lane::8], np.float64) for lane in range(8)]
            a, b, c, d, e, f, g, h = lanes
            total = start + (((a + e) + (c + g)) + ((b + f) + (d + h)))
        else:
            total = in_turn(start, outputs, np.float32 if single else np.float64).astype(np.float64)
        margin = self.output["bias"] + self.output["scale"] * (total / self.output["divisor"])
        return margin.astype(np.float32).astype(np.float64) if single else margin


def least_that_fails(node):
    """The number that a value must be less than to go left; NaN where that is no question."""
    if "at_most" in node:
        return np.nextafter(node["at_most"], np.inf)
    return node.get("below", np.nan)


def in_turn(start, outputs, precision):
    """`start` and the rows of `outputs`, one after the other, each partial sum in this precision."""
    total = np.full(outputs.shape[1], start, dtype=precision)
    for output in outputs.astype(precision):
        total += output
    return total


def calibrated(calibration, scores):
    """The probability that belongs to each score; NaN to NaN."""
    if calibration["method"] == "log-odds":
        score, rest = np.maximum(scores, NEAREST), np.maximum(1.0 - scores, NEAREST)
        log_odds = calibration["of_score"] * log(score) - calibration["of_rest"] * log(rest)
        return logistic(log_odds + calibration["intercept"])
    return interpolated(np.array(calibration["scores"]), np.array(calibration["probabilities"]), scores)


def interpolated(known, probabilities, scores):
    """Straight lines between the known scores, flat before the first and after the last."""
    after = np.searchsorted(known, scores)
    low, high = np.maximum(after - 1, 0), np.minimum(after, len(known) - 1)
    width = known[high] - known[low]
    part = np.divide(scores - known[low], width, out=np.zeros_like(scores), where=width > 0.0)
    found = probabilities[low] + part * (probabilities[high] - probabilities[low])
    found = np.where(known[high] == scores, probabilities[high], found)
    return np.where(np.isnan(scores), np.nan, found)


def logistic(log_odds):
    return 1.0 / (1.0 + exp(-log_odds))


# Of the C library, which redflag uses, and which NumPy's own differ from in the last bit.
def exp(values):
    largest = math.log(sys.float_info.max)
    return np.array([math.inf if value > largest else math.exp(value) for value in values])


def log(values):
    return np.array([math.log(value) for value in values])
