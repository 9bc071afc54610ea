"""Times the `shap` package's C extension on the models and rows of `cargo bench -p forest --bench explain`.

    python crates/forest/benches/shap_peer.py

It runs the bench first, with one thread, and prints the quickest of several runs of both programs, per row.
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import shap

REPOSITORY = Path(__file__).parents[3]
RUNS = 5


def shap_tree(tree):
    """A tree of a redflag document as a tree of the shap package, which goes left at `x <= threshold`."""
    nodes = tree["nodes"]
    column = lambda of_split, of_leaf: [of_leaf(node) if "leaf" in node else of_split(node) for node in nodes]
    child = lambda key: np.array(column(lambda node: node[key], lambda _: -1), dtype=np.int32)
    below = lambda node: np.nextafter(node["below"], -np.inf)
    return {
        "children_left": child("left"),
        "children_right": child("right"),
        "children_default": np.array(column(lambda node: node[node["missing"]], lambda _: -1), dtype=np.int32),
        "features": child("feature"),
        "thresholds": np.array(column(below, lambda _: 0.0)),
        "values": np.array(column(lambda _: 0.0, lambda node: node["leaf"])).reshape(-1, 1),
        "node_sample_weight": np.array([node["cover"] for node in nodes], dtype=float),
    }


def quickest(explainer, rows):
    """Microseconds a row, with as many rows a call as the package likes."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        explainer.shap_values(rows, check_additivity=False)
        times.append((time.perf_counter() - start) * 1e6 / len(rows))
    return min(times)


def compare(fixture):
    numbers = json.loads(fixture.read_text())
    rows, background = (np.array(numbers[key]).reshape(-1, numbers["features"]) for key in ("rows", "background"))
    divisor = numbers["model"]["output"]["divisor"]
    trees = [shap_tree(tree) for tree in numbers["model"]["trees"]]
    for tree in trees:
        tree["values"] /= divisor
    model = {"trees": trees, "internal_dtype": np.float64, "input_dtype": np.float64}
    path_dependent = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    interventional = shap.TreeExplainer(model, data=background, feature_perturbation="interventional")
    for method, explainer, count in [
        ("path_dependent", path_dependent, len(rows)),
        ("interventional", interventional, 50),
    ]:
        ours, theirs = numbers["us"][method], quickest(explainer, rows[:count])
        print(f"{fixture.stem:<14} {method:<15} redflag {ours:10.1f} us  shap {theirs:10.1f} us  {theirs / ours:6.1f} times")


def main():
    with tempfile.TemporaryDirectory() as folder:
        bench = ["cargo", "bench", "--package", "forest", "--bench", "explain", "--", "--export", folder]
        subprocess.run(bench, cwd=REPOSITORY, check=True)
        print("\nshap", shap.__version__)
        for fixture in sorted(Path(folder).glob("*.json")):
            compare(fixture)


if __name__ == "__main__":
    main()
