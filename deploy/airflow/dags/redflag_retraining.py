"""Training redflag's model again, as an Airflow DAG.

Each task is a step of `redflag retrain` on one folder. A step that is done is not done again, so a task may be retried or cleared
at will; what is learnt from is the database that the service writes. The service needs no schedule of its own then.

Settings, from the environment of Airflow's workers:

REDFLAG_BIN           the program [default: redflag]
REDFLAG_CONFIG        the service's settings file
REDFLAG_RUNS          a folder for runs that all workers share [default: redflag-runs]
REDFLAG_SCHEDULE      when, as a cron expression in UTC [default: 0 3 * * 1]
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.sensors.bash import BashSensor
from airflow.sdk import DAG, Param, task

REDFLAG = os.environ.get("REDFLAG_BIN", "redflag")
CONFIG = os.environ.get("REDFLAG_CONFIG", "redflag.toml")
RUNS = os.environ.get("REDFLAG_RUNS", "redflag-runs")

# "Ask again later": the challenger still scores in the shadow.
WAITS = 75

# A name of its own for each run of the DAG.
FOLDER = RUNS + "/{{ run_id | replace(':', '') | replace('+', '-') }}"


def command(step: str, *more: str) -> str:
    """The command line of a step."""
    with_config = ["--config", CONFIG, "--trigger", "airflow", "--json", *more]
    return f"{shlex.join([REDFLAG, 'retrain', step, *with_config])} --run '{FOLDER}'"


def step(name: str, **options) -> BashOperator:
    """A task that does a step and everything before it that is not done."""
    return BashOperator(task_id=name, bash_command=command(name), append_env=True, **options)


with DAG(
    dag_id="redflag_retraining",
    description="Collect what became known, train, judge against the champion, promote",
    schedule=os.environ.get("REDFLAG_SCHEDULE", "0 3 * * 1"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # Two runs would have a challenger each, and the second would retire the first's.
    max_active_runs=1,
    # Airflow 3 knows no SLA: a run that is not over by then has failed, whatever it waits for.
    dagrun_timeout=timedelta(days=21),
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "retry_exponential_backoff": True,
        "execution_timeout": timedelta(hours=6),
    },
    params={
        "approval": Param("rule", enum=["rule", "person"], description="Who promotes a challenger that meets every criterion"),
    },
    doc_md=__doc__,
    tags=["redflag"],
) as dag:
    collect, train, evaluate, register = (step(name) for name in ("collect", "train", "evaluate", "register"))

    # Frees its worker between two looks. The challenger scores beside the champion meanwhile.
    judge = BashSensor(
        task_id="judge",
        bash_command=command("judge"),
        retry_exit_code=WAITS,
        mode="reschedule",
        poke_interval=timedelta(minutes=10),
        timeout=timedelta(days=20).total_seconds(),
        execution_timeout=None,
    )

    @task.branch
    def verdict(folder: str, approval: str) -> str:
        """Which way to go: what `judge` has found, and who promotes."""
        shown = subprocess.run([REDFLAG, "retrain", "show", "--run", folder, "--json"], check=True, capture_output=True)
        run = json.loads(shown.stdout)
        print((run["verdict"] or {"words": run["detail"]})["words"])
        if not run["verdict"] or not run["verdict"]["promote"]:
            return "reject"
        return "promote" if approval == "rule" else "ask"

    # The step itself knows what the verdict was: not promoted, the challenger is retired.
    reject = BashOperator(task_id="reject", bash_command=command("promote"), append_env=True)
    promote = step("promote")

    # The run's own record asks as well, so that /v1/retraining shows what is waited for.
    ask = BashOperator(
        task_id="ask",
        bash_command=f"REDFLAG_RETRAINING_PROMOTE=person {command('promote')} || [ $? -eq {WAITS} ]",
        append_env=True,
    )
    approval = ApprovalOperator(
        task_id="approval",
        subject="Promote redflag's challenger?",
        body="The verdict stands in the log of `verdict`, and criterion by criterion in " + FOLDER + "/verdict.json.",
        execution_timeout=timedelta(days=7),
    )
    approve = BashOperator(
        task_id="approve",
        bash_command=command("approve", "--by", "airflow", "--reason", "approved in Airflow"),
        append_env=True,
    )

    way = verdict(FOLDER, "{{ params.approval }}")
    collect >> train >> evaluate >> register >> judge >> way
    way >> [reject, promote, ask]
    ask >> approval >> approve
