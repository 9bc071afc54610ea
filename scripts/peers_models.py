"""The standard models of `redflag bench forest`, and what the other libraries need to score a model.

    peers_models.py standard FOLDER        makes the models and rows.csv, where they are not there yet
    peers_models.py prepare FILE FOLDER    compiles FILE for every library that can score it, and prints the list as JSON
    peers_models.py catboost FILE ROWS N   times CatBoost itself on request; ROWS holds N numbers a row, single precision
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

FEATURES = 30
ROWS = 100_000


# The standard models.

def table(rows, seed):
    """Numbers of four kinds, rounded as they are in files, and one row in a hundred positive."""
    import numpy as np

    random = np.random.Generator(np.random.PCG64(seed))
    values = random.standard_normal((rows, FEATURES))
    values[:, 10:20] = np.exp(values[:, 10:20])
    values[:, 20:25] = np.floor(np.abs(values[:, 20:25]) * 10)
    values[:, 25:] = random.uniform(0, 24, (rows, 5))
    values = np.round(values, 4)
    risk = values[:, 0] * values[:, 1] + np.sin(values[:, 2] * 2) + np.log(values[:, 10]) * values[:, 3]
    risk += 0.1 * values[:, 20] + np.cos(values[:, 25] / 4) + values[:, 4:10].sum(axis=1) * 0.4
    risk += random.standard_normal(rows)
    labels = (risk >= np.quantile(risk, 0.99)).astype(int)
    return values, labels


def lightgbm_model(path, values, labels):
    import lightgbm

    settings = {"objective": "binary", "num_leaves": 31, "learning_rate": 0.02, "verbose": -1, "seed": 1,
                "min_sum_hessian_in_leaf": 1e-6, "deterministic": True, "force_row_wise": True}
    lightgbm.train(settings, lightgbm.Dataset(values, labels), 500).save_model(path)


def xgboost_model(path, values, labels):
    import xgboost

    settings = {"objective": "binary:logistic", "max_depth": 6, "tree_method": "hist", "eta": 0.02,
                "min_child_weight": 0.01, "seed": 1}
    xgboost.train(settings, xgboost.DMatrix(values, labels), 500).save_model(path)


def catboost_model(path, values, labels):
    from catboost import CatBoostClassifier

    model = CatBoostClassifier(iterations=500, depth=6, learning_rate=0.05, random_seed=1, verbose=False,
                               allow_writing_files=False)
    model.fit(values, labels)
    model.save_model(str(path), format="json")


def random_forest_model(path, values, labels):
    import skl2onnx
    import treelite
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(200, max_depth=12, random_state=1, n_jobs=-1).fit(values, labels)
    onnx = skl2onnx.to_onnx(forest, values[:1].astype("float32"), options={"zipmap": False})
    # tl2cgen reads no ONNX; this is the same forest for it.
    treelite.sklearn.import_model(forest).serialize(str(path.with_suffix(".treelite")))
    path.write_bytes(onnx.SerializeToString())


STANDARD = {
    "lightgbm-500x31.txt": lightgbm_model,
    "xgboost-500x6.ubj": xgboost_model,
    "catboost-500x6.json": catboost_model,
    "random-forest-200x12.onnx": random_forest_model,
}


def standard(folder):
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in STANDARD if not (folder / name).exists()]
    values, labels = table(ROWS, 1) if missing else (None, None)
    for name in missing:
        print(f"training {name}", file=sys.stderr)
        unfinished = folder / f"unfinished-{name}"
        STANDARD[name](unfinished, values, labels)
        for made in folder.glob(f"unfinished-{Path(name).stem}.*"):
            made.rename(folder / made.name.removeprefix("unfinished-"))
    rows = folder / "rows.csv"
    if not rows.exists():
        lines = [",".join(f"{value:.4f}" for value in row) for row in table(8_192, 2)[0]]
        rows.write_text("\n".join(lines) + "\n")


# What the libraries need for one model.

def version(name):
    return metadata.version(name)


def installed(package, pattern):
    """A shared library of an installed package."""
    return str(next(Path(metadata.distribution(package).locate_file("")).glob(pattern)))


def run(*command, cwd=None):
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()[-400:]}")


def tl2cgen_library(model, folder):
    """treelite's model through C to a library."""
    import tl2cgen

    source = folder / "tl2cgen"
    shutil.rmtree(source, ignore_errors=True)
    started = time.monotonic()
    tl2cgen.generate_c_code(model, dirpath=source, params={"parallel_comp": 32})
    units = sorted(source.glob("*.c"))
    jobs = subprocess.run(
        ["xargs", "-P", str(os.cpu_count()), "-I{}", "cc", "-c", "-O3", "-march=native", "-fPIC", "{}"],
        input="\n".join(unit.name for unit in units), text=True, cwd=source, capture_output=True)
    if jobs.returncode:
        raise RuntimeError(f"cc: {jobs.stderr.strip()[-400:]}")
    library = folder / "tl2cgen.so"
    run("cc", "-shared", "-o", library, *[unit.with_suffix(".o").name for unit in units], "-lm", cwd=source)
    shutil.rmtree(source)
    return {"kind": "tl2cgen", "library": str(library), "version": version("tl2cgen"),
            "compile_seconds": time.monotonic() - started}


def lleaves_libraries(file, folder):
    """LightGBM's model through LLVM to libraries: one for single rows without blocks of trees, as lleaves advises."""
    import lleaves

    made = {"kind": "lleaves", "version": version("lleaves")}
    started = time.monotonic()
    for rows in ("many", "one"):
        compiled, library = folder / f"lleaves-{rows}.o", folder / f"lleaves-{rows}.so"
        model = lleaves.Model(model_file=str(file))
        model.compile(cache=compiled, raw_score=True, fblocksize=model.num_trees() if rows == "one" else 34)
        run("cc", "-shared", "-o", library, compiled, "-Wl,-z,notext", "-lm")
        compiled.unlink()
        made[rows] = str(library)
    # Both take about as long; one would do.
    return made | {"compile_seconds": (time.monotonic() - started) / 2}


def onnx_session(model, folder, margin):
    """An ONNX model for ONNX Runtime, with the scores as one plain tensor."""
    import numpy as np
    import onnx
    import onnxruntime

    zipped = [node for node in model.graph.node if node.op_type == "ZipMap"]
    outputs = [output.name for output in model.graph.output]
    name = zipped[0].input[0] if zipped else outputs[-1]
    for node in zipped:
        model.graph.node.remove(node)
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    path = folder / "model.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(str(path))
    entry = session.get_inputs()[0]
    scores = session.run([name], {entry.name: np.zeros((2, features_of(entry)), np.float32)})[0]
    columns = scores.size // 2
    return {"kind": "onnxruntime", "version": version("onnxruntime"), "model": str(path),
            "library": installed("onnxruntime", "onnxruntime/capi/libonnxruntime.so*"),
            "input": entry.name, "output": name, "columns": columns, "margin": margin}


def features_of(entry):
    if not isinstance(entry.shape[-1], int):
        raise RuntimeError("the model does not say how many values a row has")
    return entry.shape[-1]


def for_xgboost(file, folder):
    import treelite
    import xgboost

    def converted():
        from onnxmltools import convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType

        booster = xgboost.Booster(model_file=file)
        booster.feature_names = None
        row = FloatTensorType([None, booster.num_features()])
        return onnx_session(convert_xgboost(booster, initial_types=[("row", row)]), folder, False)

    yield "xgboost", lambda: {"kind": "xgboost", "version": xgboost.__version__,
                              "library": installed("xgboost-cpu", "xgboost/lib/libxgboost.so")}
    yield "tl2cgen", lambda: tl2cgen_library(treelite.frontend.load_xgboost_model(str(file)), folder)
    yield "onnxruntime", converted


def for_lightgbm(file, folder):
    import lightgbm
    import treelite

    def converted():
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType

        booster = lightgbm.Booster(model_file=file)
        row = FloatTensorType([None, booster.num_feature()])
        return onnx_session(convert_lightgbm(booster, initial_types=[("row", row)], zipmap=False), folder, False)

    yield "lightgbm", lambda: {"kind": "lightgbm", "version": lightgbm.__version__,
                               "library": installed("lightgbm", "lightgbm/lib/lib_lightgbm.so")}
    yield "lleaves", lambda: lleaves_libraries(file, folder)
    yield "tl2cgen", lambda: tl2cgen_library(treelite.frontend.load_lightgbm_model(str(file)), folder)
    yield "onnxruntime", converted


CALL = """
extern "C" double score(const std::vector<float>* row) { return ApplyCatboostModel(*row); }
extern "C" std::vector<float>* row_new(const float* from, size_t n) { return new std::vector<float>(from, from + n); }
extern "C" void row_free(std::vector<float>* row) { delete row; }
"""


def for_catboost(file, folder):
    from catboost import CatBoost

    model = CatBoost()
    model.load_model(str(file), format="json")

    def exported():
        source, library = folder / "exported.cpp", folder / "exported.so"
        started = time.monotonic()
        model.save_model(str(source), format="cpp")
        source.write_text(source.read_text() + CALL)
        run("c++", "-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-o", library, source)
        return {"kind": "catboost-cpp", "library": str(library), "version": version("catboost"),
                "compile_seconds": time.monotonic() - started}

    def converted():
        import onnx

        path = folder / "catboost.onnx"
        model.save_model(str(path), format="onnx")
        return onnx_session(onnx.load(path), folder, False)

    yield "catboost-cpp", exported
    yield "catboost-python", lambda: {"kind": "catboost-python", "version": version("catboost"),
                               "python": sys.executable, "script": os.path.abspath(__file__)}
    yield "onnxruntime", converted


def for_onnx(file, folder):
    import onnx
    import treelite

    model = onnx.load(file)
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    squashed = any(each.name == "post_transform" and each.s == b"LOGISTIC" for each in attributes)
    yield "onnxruntime", lambda: onnx_session(model, folder, not squashed)
    if file.with_suffix(".treelite").exists():
        saved = treelite.Model.deserialize(str(file.with_suffix(".treelite")))
        yield "tl2cgen", lambda: tl2cgen_library(saved, folder)


def peers_for(file):
    """Whose model it is, by content, as `redflag` tells it."""
    start = file.read_bytes()[:65_536].lstrip()
    if start.startswith(b"tree") or start.startswith(b"version="):
        return for_lightgbm
    if start.startswith(b"{"):
        is_catboost = any(key in start for key in (b'"oblivious_trees"', b'"features_info"', b'"scale_and_bias"'))
        return for_catboost if is_catboost else for_xgboost
    return for_onnx


# Raised when what is prepared, or how, becomes another.
PREPARATION = 1


def prepare(file, folder):
    parts = [file.read_bytes(), json.dumps([PREPARATION, versions()]).encode()]
    digest = hashlib.sha256(b"".join(parts)).hexdigest()[:16]
    prepared = folder / digest
    prepared.mkdir(parents=True, exist_ok=True)
    with open(prepared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Libraries talk on the standard output from C; the answer must be alone there.
        answer = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        print(json.dumps(completed(file, prepared)), file=answer, flush=True)


def completed(file, prepared):
    """What is prepared, after trying again what is not: the reason may be gone."""
    listing = prepared / "peers.json"
    peers = json.loads(listing.read_text())["peers"] if listing.exists() else []
    absent = []
    for kind, make in peers_for(file)(file, prepared):
        if any(peer["kind"] == kind for peer in peers):
            continue
        print(f"preparing {kind} for {file.name}", file=sys.stderr)
        try:
            peers.append(make())
        except Exception as error:  # A library that cannot score this model is told of, and the others go on.
            absent.append({"peer": kind, "why": " ".join(str(error).split())[:300] or type(error).__name__})
    made = {"peers": peers, "absent": absent}
    listing.write_text(json.dumps(made, indent=1))
    return made


def versions():
    return {name: version(name) for name in ("xgboost-cpu", "lightgbm", "catboost", "onnxruntime", "onnxmltools",
                                             "treelite", "tl2cgen", "lleaves")}


# CatBoost's own scorer has no C interface in its wheel.

def catboost(file, rows, width):
    """Answers `margins FROM COUNT` with margins, and `time FROM COUNT CALLS` with the seconds that so many calls took.

    Each call scores COUNT rows; after the last row comes the first.
    """
    import numpy as np
    from catboost import CatBoost

    started = time.perf_counter()
    model = CatBoost()
    model.load_model(file, format="json")
    values = np.fromfile(rows, dtype=np.float32).reshape(-1, width)
    model.predict(values[:1], prediction_type="RawFormulaVal", thread_count=1)
    print(time.perf_counter() - started, flush=True)
    for line in sys.stdin:
        what, at, count, *calls = line.split()
        at, count = int(at), int(count)
        if what == "margins":
            margins = model.predict(values[at:at + count], prediction_type="RawFormulaVal", thread_count=1)
            print(*map(repr, map(float, margins)), flush=True)
            continue
        starts = []
        for _ in range(int(calls[0])):
            at = 0 if at + count > len(values) else at
            starts.append(at)
            at += count
        started = time.perf_counter()
        for at in starts:
            model.predict(values[at:at + count], prediction_type="RawFormulaVal", thread_count=1)
        print(time.perf_counter() - started, flush=True)


def main(arguments):
    match arguments:
        case ["standard", folder]:
            standard(Path(folder))
        case ["prepare", file, folder]:
            prepare(Path(file).resolve(), Path(folder).resolve())
        case ["catboost", file, rows, width]:
            catboost(file, rows, int(width))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
