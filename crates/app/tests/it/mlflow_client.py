"""What MLflow's own client finds on a server, as JSON.

usage: mlflow_client.py look MODEL            versions of a registered model, each with its run
       mlflow_client.py runs EXPERIMENT       status and tags of its runs
       mlflow_client.py score MODEL-URI CSV   margins and scores of a feature matrix, by mlflow.pyfunc
       mlflow_client.py stored RUN            the run in PostgreSQL (MLFLOW_DATABASE), its experiment's files in S3 (MLFLOW_BUCKET)
environment: MLFLOW_TRACKING_URI
"""

import csv
import json
import math
import os
import sys

import mlflow
import pandas as pd


def look(name):
    client = mlflow.MlflowClient()
    aliases = client.get_registered_model(name).aliases
    versions = client.search_model_versions(f"name = '{name}'")
    return {version.version: version_of(client, version, aliases) for version in versions}


def version_of(client, version, aliases):
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    run = client.get_run(version.run_id)
    return {
        "aliases": [alias for alias, number in aliases.items() if str(number) == str(version.version)],
        "tags": version.tags,
        "model_metrics": sorted({metric.key for metric in model.metrics or []}),
        "model_files": files(mlflow.artifacts.list_artifacts(version.source)),
        "run": {
            "id": version.run_id,
            "status": run.info.status,
            "tags": run.data.tags,
            "parameters": run.data.params,
            "metrics": {key: history(client, version.run_id, key) for key in run.data.metrics},
            "data": [entry.dataset.digest for entry in run.inputs.dataset_inputs],
            "files": files(client.list_artifacts(version.run_id)),
        },
    }


def history(client, run_id, key):
    return sorted((metric.step, metric.value) for metric in client.get_metric_history(run_id, key))


def files(entries):
    return sorted(entry.path for entry in entries)


def runs(experiment):
    found = mlflow.search_runs(experiment_names=[experiment], output_format="list")
    return [{"status": run.info.status, "tags": run.data.tags} for run in found]


def score(uri, path):
    model = mlflow.pyfunc.load_model(uri)
    names = model.metadata.get_input_schema().input_names()
    table = matrix(path, names)
    margins, scores = model.predict(table, params={"raw": True}), model.predict(table)
    refused = refusal(model, table.drop(columns=names[0]))
    return {"margins": margins.tolist(), "scores": scores.tolist(), "refused": refused}


def matrix(path, names):
    """The features, in another order than the model's; an empty cell is missing."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return pd.DataFrame({name: [float(row[name] or math.nan) for row in rows] for name in reversed(names)})


def refusal(model, table):
    try:
        return str(model.predict(table))
    except Exception as error:
        return str(error)


def stored(run_id):
    import boto3
    import psycopg2

    cursor = psycopg2.connect(os.environ["MLFLOW_DATABASE"]).cursor()
    cursor.execute("SELECT status, artifact_uri FROM runs WHERE run_uuid = %s", [run_id])
    status, place = cursor.fetchone()
    experiment = place.removeprefix("mlflow-artifacts:/").partition("/")[0]
    bucket, _, prefix = os.environ["MLFLOW_BUCKET"].removeprefix("s3://").partition("/")
    below = f"{prefix}/{experiment}/"
    objects = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=below).get("Contents", [])
    return {"status": status, "bytes": {os.path.basename(entry["Key"]): entry["Size"] for entry in objects}}


def main():
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    command, *arguments = sys.argv[1:]
    found = {"look": look, "runs": runs, "score": score, "stored": stored}[command](*arguments)
    print(json.dumps(found))


main()
