"""Grows a model with CatBoost or scikit-learn. usage: train.py FOLDER

Reads request.json and the tables that redflag has put into the folder, says on the standard output how far it is, one JSON
object a line, and leaves the model in the folder. What the library refuses is said on the last line of the standard error,
with exit code 2.
"""

import json
import sys
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())


def say(**what):
    print(json.dumps(what), flush=True)


def table(name):
    """Values, one row a transaction; labels; weights or None."""
    values = np.fromfile(folder / f"{name}.values", "<f8").reshape(len(request["names"]), -1).T
    labels = np.fromfile(folder / f"{name}.labels", "u1")
    weights = folder / f"{name}.weights"
    return values, labels, np.fromfile(weights, "<f8") if weights.exists() else None


def parameters():
    """As numbers and lists where they are some, else as text."""

    def value(text):
        try:
            return json.loads(text)
        except ValueError:
            return text

    return {name: value(text) for name, text in request["parameters"]}


def catboost():
    from catboost import CatBoostClassifier, Pool

    class Rounds:
        def after_iteration(self, info):
            figures = (info.metrics or {}).get("validation", {}).get("PRAUC")
            # The first iteration is 1.
            say(trees=info.iteration, average_precision=figures[-1] if figures else None)
            return True

    def pool(name):
        values, labels, weights = table(name)
        return Pool(np.ascontiguousarray(values), labels, weight=weights)

    asked = {"iterations": request["trees"], "allow_writing_files": False, "verbose": False, **parameters()}
    validated = {}
    if request["patience"]:
        asked["eval_metric"] = "PRAUC"
        validated = {"eval_set": pool("validation"), "early_stopping_rounds": request["patience"]}
    model = CatBoostClassifier(**asked)
    model.fit(pool("train"), callbacks=[Rounds()], **validated)
    model.save_model(str(folder / "model"), format="json")
    say(learning_rate=model.learning_rate_)


def scikit_learn():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.tree import DecisionTreeClassifier

    asked = parameters()
    if "class_weight" in asked and isinstance(asked["class_weight"], list):
        asked["class_weight"] = dict(enumerate(asked["class_weight"]))
    values, labels, weights = table("train")
    if request["forest"]:
        model = RandomForestClassifier(warm_start=True, **asked)
        trees = request["trees"]
        # A forest that goes on is the one that would have been grown at once.
        for part in range(1, 11):
            model.n_estimators = -(-trees * part // 10)
            model.fit(values, labels, sample_weight=weights)
            say(trees=model.n_estimators)
        grown = [tree.tree_ for tree in model.estimators_]
    else:
        grown = [DecisionTreeClassifier(**asked).fit(values, labels, sample_weight=weights).tree_]
        say(trees=1)
    (folder / "model").write_text(json.dumps(forest(grown)))
    say(learning_rate=None)


def forest(trees):
    """redflag's own form: values are compared in single precision, shares are added in the order of the trees and divided."""
    output = {"summation": "double", "start": 0.0, "divisor": float(len(trees)), "scale": 1.0, "bias": 0.0}
    return {
        "format": "redflag-forest",
        "version": 2,
        "features": request["names"],
        "values": "single",
        "output": {**output, "link": "probability"},
        "trees": [{"nodes": nodes(tree)} for tree in trees],
    }


def nodes(tree):
    """Children come after their parents there, too."""
    weight = tree.weighted_n_node_samples
    # The decrease of impurity, as sklearn.tree adds it up for its importances.
    own = weight * tree.impurity

    def node(at):
        left, right = int(tree.children_left[at]), int(tree.children_right[at])
        if left < 0:
            return {"leaf": float(tree.value[at, 0, 1]), "cover": float(weight[at])}
        # All that is not missing goes left where the threshold is infinite.
        threshold = min(float(tree.threshold[at]), sys.float_info.max)
        return {
            "feature": int(tree.feature[at]),
            "at_most": threshold,
            "missing": "left" if tree.missing_go_to_left[at] else "right",
            "left": left,
            "right": right,
            "gain": max(float(own[at] - own[left] - own[right]), 0.0),
            "cover": float(weight[at]),
        }

    return [node(at) for at in range(tree.node_count)]


try:
    {"catboost": catboost, "scikit-learn": scikit_learn}[request["engine"]]()
except Exception as error:  # Whatever the library raises is its answer.
    words = " ".join(str(error).split())
    print(f"{type(error).__name__}: {words}", file=sys.stderr)
    sys.exit(2)
