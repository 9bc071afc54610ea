"""Generators side by side: redflag's, and those of PyPI's ctgan and sdv, on the same rows, judged by `redflag synth report`.

usage: python scripts/synth_peers.py REDFLAG table.csv LABEL EPOCHS FOLDER [NAME,...]

Seven in ten rows, drawn with a seed and by class, are learnt from; the others are held out. Each generator makes as many rows
as it saw, with as many frauds. NAMES are parts of the generators' names; all without any. Needs ctgan and sdv. Prints one line a generator and writes FOLDER/results.json.
"""

import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

warnings.filterwarnings("ignore")
REDFLAG, FILE, LABEL, EPOCHS, FOLDER = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), Path(sys.argv[5])
FOLDER.mkdir(parents=True, exist_ok=True)
TRAIN, HELD_OUT = FOLDER / "train.csv", FOLDER / "heldout.csv"


def split():
    table = pd.read_csv(FILE)
    chosen = table.groupby(LABEL, group_keys=False).sample(frac=0.7, random_state=0).index
    table.loc[np.sort(chosen)].to_csv(TRAIN, index=False)
    table.drop(chosen).to_csv(HELD_OUT, index=False)
    return pd.read_csv(TRAIN)


def words(table):
    few = [name for name in table if table[name].dtype == object or table[name].nunique() <= 2]
    return sorted(set(few) | {LABEL})


def ctgan(table):
    from ctgan import CTGAN

    model = CTGAN(epochs=EPOCHS, enable_gpu=False)
    model.fit(table, words(table))
    return lambda rows: model.sample(rows)


def sdv(name):
    def fit(table):
        from sdv.metadata import Metadata
        from sdv.single_table import GaussianCopulaSynthesizer, TVAESynthesizer

        metadata = Metadata.detect_from_dataframes({"table": table})
        for column in table:
            metadata.update_column(table_name="table", column_name=column, sdtype="categorical" if column in words(table) else "numerical")
        model = GaussianCopulaSynthesizer(metadata) if name == "copula" else TVAESynthesizer(metadata, epochs=EPOCHS, enable_gpu=False)
        model.fit({"table": table})
        return lambda rows: model.sample(rows)["table"]

    return fit


def with_frauds(make, table):
    """As many rows of each class as were seen, where the generator makes them."""
    wanted = table[LABEL].value_counts()
    parts = {value: [] for value in wanted.index}
    for _ in range(20):
        made = make(2 * len(table))
        for value in parts:
            parts[value].append(made[made[LABEL].astype(float) == float(value)])
        if all(sum(map(len, parts[value])) >= wanted[value] for value in parts):
            break
    rows = [pd.concat(parts[value]).head(wanted[value]) for value in parts]
    return pd.concat(rows).sample(frac=1, random_state=0)[list(table)]


def peer(fit):
    def run(table, out):
        torch.manual_seed(0)
        np.random.seed(0)
        make = fit(table)
        with_frauds(make, table).to_csv(out, index=False)

    return run


def own(kind):
    def run(table, out):
        generator = out.with_suffix(".generator")
        command = [REDFLAG, "synth", "fit", "--in", TRAIN, "--label", LABEL, "--kind", kind, "--epochs", str(EPOCHS)]
        subprocess.run([*command, "--out", generator, "--json"], check=True, stdout=subprocess.DEVNULL)
        command = [REDFLAG, "synth", "sample", "--generator", generator, "--rows", str(len(table)), "--out", out]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

    return run


GENERATORS = {
    "redflag ctgan": own("ctgan"),
    "redflag wgan-gp": own("wgan-gp"),
    "redflag tablegan": own("tablegan"),
    "redflag smote": own("smote"),
    "ctgan (PyPI)": peer(ctgan),
    "TVAE (sdv)": peer(sdv("tvae")),
    "Gaussian copula (sdv)": peer(sdv("copula")),
}


def report(out):
    command = [REDFLAG, "synth", "report", "--real", TRAIN, "--synthetic", out, "--holdout", HELD_OUT, "--label", LABEL]
    page = out.with_suffix(".html")
    done = subprocess.run([*command, "--out", page, "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main():
    torch.set_num_threads(2)
    table, results = split(), {}
    chosen = sys.argv[6].split(",") if len(sys.argv) > 6 else [""]
    for name, run in GENERATORS.items():
        if not any(part in name for part in chosen):
            continue
        out = FOLDER / (name.replace(" ", "-").replace("(", "").replace(")", "") + ".csv")
        started = time.time()
        try:
            run(table, out)
        except Exception as error:
            print(f"{name}: {error}", flush=True)
            continue
        seconds = time.time() - started
        results[name] = {"seconds": seconds, **report(out)}
        print(name, f"{seconds:.0f} s", json.dumps(figures(results[name])), flush=True)
        (FOLDER / "results.json").write_text(json.dumps(results))


def figures(of):
    """The headline figures that a report has."""
    found = {}

    def walk(value, path):
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else key)
        elif isinstance(value, (int, float)) and path.count(".") <= 1:
            found[path] = round(value, 4)

    walk({key: value for key, value in of.items() if key not in ("columns", "pairs", "behaviour")}, "")
    return found


main()
