"""Trains XGBoost, LightGBM and CatBoost for `redflag bench train --peers`.

Run by the binary:  python -c "$(cat peers_train.py)" FOLDER TREES DEPTH THREADS
FOLDER holds train.f64 and test.f64 (column by column, little-endian doubles) and train.u8 and test.u8 (labels).
Prints the libraries' versions as one line of JSON. Then, for each line "NAME SEED" on the standard input, trains that
library with its defaults apart from the number and depth of trees and the threads, and prints seconds and average
precision on the held-out rows. Only the training is timed, not the loading.
"""

import json
import sys
import time
from pathlib import Path

import catboost
import lightgbm
import numpy as np
import xgboost
from sklearn.metrics import average_precision_score


def load(folder, part):
    labels = np.fromfile(folder / f"{part}.u8", dtype=np.uint8)
    columns = np.fromfile(folder / f"{part}.f64", dtype="<f8").reshape(-1, len(labels))
    return np.ascontiguousarray(columns.T), labels


def model(name, trees, depth, threads, seed):
    if name == "xgboost":
        return xgboost.XGBClassifier(n_estimators=trees, max_depth=depth, n_jobs=threads, random_state=seed)
    if name == "lightgbm":
        return lightgbm.LGBMClassifier(
            n_estimators=trees, max_depth=depth, n_jobs=threads, random_state=seed, verbose=-1
        )
    return catboost.CatBoostClassifier(
        iterations=trees,
        depth=depth,
        thread_count=threads,
        random_seed=seed,
        verbose=0,
        allow_writing_files=False,
    )


def main():
    folder = Path(sys.argv[1])
    trees, depth, threads = (int(argument) for argument in sys.argv[2:5])
    train, labels = load(folder, "train")
    test, test_labels = load(folder, "test")
    versions = {library.__name__: library.__version__ for library in (xgboost, lightgbm, catboost)}
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        name, seed = line.split()
        classifier = model(name, trees, depth, threads, int(seed))
        started = time.perf_counter()
        classifier.fit(train, labels)
        seconds = time.perf_counter() - started
        reached = average_precision_score(test_labels, classifier.predict_proba(test)[:, 1])
        print(json.dumps({"seconds": seconds, "average_precision": float(reached)}), flush=True)


if __name__ == "__main__":
    main()
