"""Runs the services of compose.yaml without Docker, as Docker would: each in a root of its own, with its user, its environment,
its secrets as files, its volumes, read-only where it says so, no capabilities, and the names of the others in a network of
their own. Then payments are sent through and looked for where they must arrive.

What it is not: the images. Programs are those of this machine (see PROGRAMS), and what an image's entry point does before its
program is done here (`Kafka`, `Postgres`). Limits of memory and processors are not set.

usage: outside.py PROJECT.json    as root; REDFLAG_BIN, KAFKA_JARS, VERSITYGW, MLFLOW_VENV name the programs
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MLFLOW = Path(os.environ.get("MLFLOW_VENV", "/nonexistent"))
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
# Users of the images, where compose.yaml leaves them to the image.
USERS = {"kafka": "1000:1000", "s3": "10001:10001", "mlflow": "10001:10001", "redflag": "10001:10001", "topics": "10001:10001",
         "traffic": "10001:10001", "prometheus": "65534:65534"}
# What the Dockerfile's ENV says.
IMAGE_VARIABLES = {"REDFLAG_DATA_DIR": "/var/lib/redflag"}
PROGRAMS = {
    "redflag": os.environ["REDFLAG_BIN"],
    "versitygw": os.environ.get("VERSITYGW", ""),
    "valkey-server": shutil.which("valkey-server") or shutil.which("redis-server"),
    "valkey-cli": shutil.which("valkey-cli") or shutil.which("redis-cli"),
    "prometheus": shutil.which("prometheus"),
}
KAFKA_SCRIPT = """#!/bin/bash
# What apache/kafka does at its start: KAFKA_LOG_DIRS=x becomes log.dirs=x; then the folder is formatted, once.
set -euo pipefail
settings=/tmp/server.properties
env | grep '^KAFKA_' | grep -v -e '^KAFKA_HEAP_OPTS=' | while IFS='=' read -r name value; do
  name=${name#KAFKA_}; name=${name,,}; echo "${name//_/.}=$value"
done >$settings
java -Xmx128m -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format --ignore-formatted --cluster-id "$CLUSTER_ID" --config $settings
exec java $KAFKA_HEAP_OPTS -cp '/opt/kafka/libs/*' kafka.Kafka $settings
"""
POSTGRES_SCRIPT = """#!/bin/bash
# What postgres does at its first start: initdb, then the scripts of /docker-entrypoint-initdb.d over the socket, then restart.
set -euo pipefail
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  export PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
  initdb --username postgres --pwfile "$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
  # Clients on the network, as the image's own last line of pg_hba.conf.
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  pg_ctl -w -o "-c listen_addresses=''" start
  for script in /docker-entrypoint-initdb.d/*.sh; do bash "$script"; done
  pg_ctl -w -m fast stop
  unset PGPASSWORD
fi
exec "$@" -c listen_addresses='*'
"""
ENTRIES = {"kafka": KAFKA_SCRIPT, "postgres": POSTGRES_SCRIPT}


def sh(*words, **options):
    return subprocess.run(words, check=True, **options)


def mount(source, target, *options):
    """Mounts a file or folder over a place that is made for it."""
    source, target = Path(source), Path(target)
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    sh("mount", "--bind", source, target)
    if "ro" in options:
        sh("mount", "-o", "remount,bind,ro", target)


class Service:
    """One service of the project, in a root of its own below `work`."""

    def __init__(self, name, project, work):
        self.name, self.work, self.spec = name, work, project["services"][name]
        self.secrets = {key: secret["file"] for key, secret in project.get("secrets", {}).items()}
        self.root = work / "roots" / name
        self.user = self.spec.get("user") or USERS[name]
        self.process = None

    def prepare(self):
        self.make_root()
        for place in self.spec.get("tmpfs") or []:
            target = self.root / place.split(":")[0].lstrip("/")
            target.mkdir(parents=True, exist_ok=True)
            sh("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", target)
        self.add_programs()
        for secret in self.spec.get("secrets") or []:
            name = secret["source"]
            mount(self.work / "secrets" / Path(self.secrets[name]).name, self.root / "run/secrets" / name, "ro")
        for volume in self.spec.get("volumes") or []:
            self.mount_volume(volume)
        if self.spec.get("read_only"):
            sh("mount", "-o", "remount,ro", self.root)

    def make_root(self):
        self.root.mkdir(parents=True)
        sh("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", self.root)
        for place in ("usr", "bin", "sbin", "lib", "lib64"):
            host = Path("/") / place
            if host.is_symlink():
                (self.root / place).symlink_to(os.readlink(host))
            elif host.exists():
                mount(host, self.root / place, "ro")
        (self.root / "var").mkdir()
        (self.root / "var/run").symlink_to("../run")
        for place in ("proc", "dev"):
            (self.root / place).mkdir()
            sh("mount", "--rbind", f"/{place}", self.root / place)
        shutil.copytree("/etc", self.root / "etc", symlinks=True, ignore=shutil.ignore_patterns("shadow*", "gshadow*", "ssh"))
        shutil.copy(self.work / "hosts", self.root / "etc/hosts")
        with open(self.root / "etc/passwd", "a") as users:
            users.write("{0}-image:x:{1}:{2}::/tmp:/bin/sh\n".format(self.name, *self.user.split(":")))
        # An image's own folder for what is temporary; of a read-only service only what compose.yaml gives.
        (self.root / "tmp").mkdir(mode=0o1777)
        (self.root / "tmp").chmod(0o1777)

    def add_programs(self):
        for name, program in PROGRAMS.items():
            if program:
                mount(program, self.root / "opt/bin" / name, "ro")
        if self.name == "kafka":
            mount(os.environ["KAFKA_JARS"], self.root / "opt/kafka/libs", "ro")
            tool = "exec java $KAFKA_HEAP_OPTS -cp '/opt/kafka/libs/*' org.apache.kafka.tools.TopicCommand \"$@\""
            self.write("opt/kafka/bin/kafka-topics.sh", f"#!/bin/sh\n{tool}\n")
        if self.name == "postgres":
            # Where it puts its socket, as the image does.
            self.own(self.root / "run/postgresql")
        if self.name == "mlflow":
            mount(MLFLOW, self.root / str(MLFLOW).lstrip("/"), "ro")
            # The Python that the environment was made from.
            home = Path(os.path.realpath(MLFLOW / "bin/python")).parents[1]
            mount(home, self.root / str(home).lstrip("/"), "ro")
        if self.name in ENTRIES:
            self.write("opt/entry", ENTRIES[self.name])

    def write(self, place, text):
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def own(self, path):
        path.mkdir(parents=True, exist_ok=True)
        uid, gid = map(int, self.user.split(":"))
        os.chown(path, uid, gid)

    def mount_volume(self, volume):
        target = self.root / volume["target"].lstrip("/")
        if volume["type"] == "bind":
            return mount(volume["source"], target, "ro" if volume.get("read_only") else "rw")
        folder = self.work / "volumes" / volume["source"]
        self.own(folder)
        if self.name == "s3":
            # The image's folders, which a new volume takes over.
            for bucket in ("redflag", "mlflow"):
                self.own(folder / bucket)
        mount(folder, target)

    def environment(self):
        path = [MLFLOW / "bin", POSTGRES, "/opt/bin", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        given = {key: value for key, value in (self.spec.get("environment") or {}).items() if value is not None}
        return {"PATH": ":".join(map(str, filter(None, path))), "HOME": "/tmp", "LANG": "C.UTF-8", **IMAGE_VARIABLES, **given}

    def command(self):
        entry = ["/opt/entry"] if self.name in ENTRIES else self.spec.get("entrypoint") or []
        words = self.spec.get("command") or []
        if not entry and self.spec["image"].startswith("redflag:"):
            entry = ["redflag"]
        if not entry and self.name == "prometheus":
            entry = ["prometheus"]
        return [*entry, *words]

    def inside(self, words):
        """The words that run others in the service's root, as its user, without any capability."""
        uid, gid = self.user.split(":")
        return ["chroot", str(self.root), "setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--no-new-privs",
                "--bounding-set=-all", "--inh-caps=-all", *words]

    def start(self):
        log = open(self.work / f"{self.name}.log", "ab")
        self.process = subprocess.Popen(self.inside(self.command()), env=self.environment(), stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log)

    def run(self, *words):
        """Runs something beside the service, as `docker compose exec` would."""
        return subprocess.run(self.inside(words), env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def is_healthy(self):
        kind, *words = self.spec["healthcheck"]["test"]
        return self.run(*(["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words)).returncode == 0

    def wait(self, seconds=180):
        """Until it is healthy; one that ends instead must have done what it was for."""
        one_shot = (self.spec.get("healthcheck") or {}).get("disable")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            status = self.process.poll()
            if one_shot and status == 0 or not one_shot and status is None and self.is_healthy():
                return
            if status is not None:
                raise SystemExit(f"FAILED: {self.name} ended with {status}:\n{self.tail()}")
            time.sleep(0.2)
        raise SystemExit(f"FAILED: {self.name} was not healthy in {seconds} s:\n{self.tail()}")

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)

    def tail(self):
        return "\n".join((self.work / f"{self.name}.log").read_text(errors="replace").splitlines()[-15:])


def in_order(project, wanted):
    """The services, each after those that it depends on."""
    done = []

    def visit(name):
        for other in project["services"][name].get("depends_on") or {}:
            if other in wanted:
                visit(other)
        if name not in done:
            done.append(name)

    for name in wanted:
        visit(name)
    return done


def available(project):
    """The services that can be run here, and why the others cannot."""
    missing = {"grafana": "Grafana is in no registry of packages", "mlflow": "" if MLFLOW.exists() else "MLflow is not installed"}
    if not all(Path(volume["source"]).joinpath("prometheus.yml").exists()
               for volume in project["services"]["prometheus"]["volumes"] if volume["type"] == "bind"):
        missing["prometheus"] = "deploy/prometheus/prometheus.yml is not there"
    elif not PROGRAMS["prometheus"]:
        missing["prometheus"] = "Prometheus is not installed"
    print("NOT RUN: airflow of compose.yaml: scripts/airflow runs it, where there is one")
    for name, reason in missing.items():
        if reason:
            print(f"NOT RUN: {name} of compose.yaml: {reason}")
    return [name for name in project["services"] if not missing.get(name)]


passed = 0


def check(what, truth, found=""):
    global passed
    if not truth:
        raise SystemExit(f"FAILED: {what}: {found}")
    passed += 1
    print(f"ok: {what}", flush=True)


def wait_for(what, ask, seconds=60):
    until, found = time.monotonic() + seconds, None
    while time.monotonic() < until:
        found = ask()
        if found:
            check(what, True)
            return found
        time.sleep(0.2)
    check(what, False, found)


def sql(service, text):
    """One statement over the network, as the user `redflag`."""
    password = (service.work / "secrets/redflag_password").read_text()
    answer = subprocess.run(["psql", "-X", "-A", "-t", "-h", "127.0.0.1", "-U", "redflag", "-d", "redflag", "-c", text],
                            env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True)
    return answer.stdout.strip()


def follow_payments(services):
    redflag, traffic = services["redflag"], services["redflag"]
    sent = 300
    made = traffic.run("redflag", "simulate", "--kafka", "kafka:9092", "--detector", "card", "--rows", str(sent), "--seed", "1")
    check("payments are produced to Kafka", made.returncode == 0, made.stderr)
    wait_for(f"{sent} decisions are in PostgreSQL",
             lambda: sql(services["postgres"], "SELECT count(*) FROM decisions") == str(sent))
    tail = redflag.run("redflag", "topics", "tail", "decisions", "--kafka", "kafka:9092", "--from-beginning", "--count", str(sent))
    check("and in the topic of decisions", len(tail.stdout.splitlines()) == sent, tail.stderr)
    customer = sql(services["postgres"], "SELECT event::json ->> 'customer_id' FROM decisions LIMIT 1")
    key = f"redflag:card:customer_id:{customer}"
    password = (redflag.work / "secrets/redis_password").read_text()
    wait_for("the customer's windows are in Redis", lambda: "event_time" in services["redis"].run(
        "env", f"REDISCLI_AUTH={password}", "valkey-cli", "-h", "redis", "HGETALL", key).stdout)
    refused = services["redis"].run("valkey-cli", "-h", "redis", "HGETALL", key)
    check("Redis refuses who has no password", "NOAUTH" in refused.stdout + refused.stderr, refused)


def restart(redflag, work):
    check("redflag ends cleanly", redflag.stop() == 0)
    snapshots = list((work / "volumes").glob("*s3/redflag/snapshots/**/*.snapshot"))
    check("it left snapshots in the bucket", len(snapshots) > 0)
    redflag.start()
    redflag.wait()
    check("it is ready again", True)


def restore_drill(services):
    """The database is lost, and comes back from a dump: the commands of docs/deployment.md."""
    postgres, redflag = services["postgres"], services["redflag"]
    state = lambda: sql(postgres, "SELECT count(*), md5(string_agg(id || score || outcome, ',' ORDER BY sequence)) FROM decisions")
    before = state()
    as_owner = "export PGPASSWORD=$(cat /run/secrets/postgres_password) PGHOST=127.0.0.1 PGUSER=postgres; "
    drill = lambda words: postgres.run("sh", "-ec", as_owner + words)
    dumped = drill("pg_dump --format custom redflag | cat >/tmp/redflag.dump")
    check("the database is dumped while redflag runs", dumped.returncode == 0, dumped.stderr)
    redflag.stop()
    at = time.monotonic()
    restored = drill("""dropdb --force redflag; createdb --owner redflag redflag
        psql -q -d redflag -c 'REVOKE ALL ON DATABASE redflag FROM PUBLIC'
        pg_restore --exit-on-error --dbname redflag </tmp/redflag.dump""")
    check("and comes back after it was dropped", restored.returncode == 0 and state() == before, restored.stderr)
    redflag.start()
    redflag.wait()
    check(f"redflag goes on, {time.monotonic() - at:.1f} s after the loss", True)
    # The first of them are those of before once more, which changes nothing.
    count = int(before.split("|")[0])
    redflag.run("redflag", "simulate", "--kafka", "kafka:9092", "--detector", "card", "--rows", str(count + 50), "--seed", "1")
    wait_for("what comes in then is decided and stored, once", lambda: state().startswith(f"{count + 50}|"))


def use_models(services, work):
    """A model is trained, told to MLflow, and decides from the registry in the bucket."""
    redflag, home = services["redflag"], "/var/lib/redflag"
    script = f"""set -e; cd {home}; export USER=check
    redflag simulate --detector card --rows 30000 --seed 2 --out a.parquet
    redflag train --detector card --in a.parquet --out card.model --register --mlflow http://mlflow:5000
    redflag model promote card.model --reason 'the first'"""
    words = redflag.command()
    trained = redflag.run(*words[:words.index("--") + 1], "sh", "-c", script)
    check("a model is trained, registered in the bucket and told to MLflow", trained.returncode == 0, trained.stderr)
    check("MLflow's files are in the bucket", any((work / "volumes").glob("*s3/mlflow/**/model.json")))

    key = (redflag.work / "secrets/admin_key").read_text().strip()
    ask = f"""import urllib.request as r
request = r.Request('http://redflag:8080/v1/health', headers={{'authorization': 'Bearer {key}'}})
print(r.urlopen(request).read().decode())"""

    def decides():
        text = redflag.run("python3", "-c", ask)
        model = [part for part in json.loads(text.stdout)["parts"] if part["name"] == "model"][0]
        return any(figure["name"] == "trees" and figure["value"] > 0 for figure in model["figures"])

    wait_for("redflag follows the registry: the model decides", decides)


def main(project_file):
    project = json.loads(Path(project_file).read_text())
    work = Path(os.environ["DEPLOY_DIR"])
    sh("ip", "link", "set", "lo", "up")
    wanted = in_order(project, available(project))
    (work / "hosts").write_text("127.0.0.1 localhost " + " ".join(project["services"]) + "\n")
    services = {name: Service(name, project, work) for name in wanted}
    for name, service in services.items():
        service.prepare()
        service.start()
        service.wait()
        check(f"{name} is {'done' if service.process.poll() == 0 else 'healthy'}, as user {service.user}", True)
    follow_payments(services)
    if "mlflow" in services:
        use_models(services, work)
    restart(services["redflag"], work)
    restore_drill(services)
    if "prometheus" in services:
        follow_metrics(services)
    secrets = [path.read_text().strip() for path in (work / "secrets").iterdir() if "password" in path.name or "key" in path.name]
    logs = "".join(path.read_text(errors="replace") for path in work.glob("*.log"))
    check("no log holds a secret", not any(re.search(re.escape(secret), logs) for secret in secrets))
    for service in reversed(services.values()):
        if service.process.poll() is None:
            service.stop()
    print(f"services: {passed} checks passed")


def follow_metrics(services):
    """Prometheus finds redflag by the name that compose.yaml gives it: on loopback there is nobody else in a container."""
    ask = "import urllib.request as r; print(r.urlopen('http://prometheus:9090/api/v1/query?query=up').read().decode())"

    def up():
        found = services["prometheus"].run("python3", "-c", ask)
        return found.returncode == 0 and any(row["value"][1] == "1" and row["metric"]["instance"].startswith("redflag:") for row in json.loads(found.stdout)["data"]["result"])

    wait_for("Prometheus scrapes redflag", up, 90)


if __name__ == "__main__":
    main(*sys.argv[1:])
