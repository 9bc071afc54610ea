"""Breaks a running redflag again and again, and then counts its decisions.

Transactions are sent to four partitions, with bad records and repeated ids among them, and two processes decide them.
Each round something is broken: a process is killed, frozen or restarted, a third one joins and leaves, the broker or the
database is restarted. In the end every valid transaction must have exactly one decision in the topic and in the
database, equal to that of an undisturbed `redflag replay`; every bad record must be in the dead letters once; and no
consumer group may be behind.
"""

import argparse
import collections
import json
import logging
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PARTITIONS = 4

# One message in so many is bad, and one is the repetition of an earlier one.
BAD_EVERY = 211
REPEAT_EVERY = 97

# The next thing breaks before the last is mended so often.
OVERLAP = 0.25

# A stream that decides nothing for so long in the end is stuck.
STUCK_S = 90

REPLAYED_HISTORY_ROWS = 40_000


def main():
    options = parse()
    stage = Stage(options)
    wrong = ["it was interrupted"]
    try:
        wrong = stage.run()
    finally:
        stage.tear_down(options.keep or wrong)
    for line in wrong:
        print("WRONG:", line)
    print(f"chaos: {'failed' if wrong else 'passed'}: {options.rounds} rounds, seed {options.seed}, {stage.summary}")
    sys.exit(1 if wrong else 0)


def parse():
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="how often something is broken (20)")
    parser.add_argument("--rate", type=int, default=2000, help="transactions a second (2000)")
    parser.add_argument("--database", choices=["postgres", "sqlite", "none"], default="postgres")
    parser.add_argument("--detector", default="card-handbook", help="a detector of which transactions can be simulated")
    parser.add_argument("--model", help="its model; grown from simulated history if not given")
    parser.add_argument("--freeze", type=float, default=30, help="how long a process is frozen, in seconds (30)")
    parser.add_argument("--settle", type=float, default=4, help="longest pause between two rounds, in seconds (4)")
    parser.add_argument("--only", help="kinds of rounds, comma-separated: " + ", ".join(ROUNDS))
    parser.add_argument("--seed", type=int, default=0, help="what is broken when, and the transactions (0)")
    parser.add_argument("--nodes", type=int, choices=[1, 3], default=1, help="brokers (1)")
    parser.add_argument("--snapshot-every", type=int, default=20_000, help="events of a partition between snapshots (20000)")
    parser.add_argument("--keep", action="store_true", help="keep the folder, the topics and the database, also if all is well")
    options = parser.parse_args()
    options.kinds = options.only.split(",") if options.only else available(options)
    unknown = [kind for kind in options.kinds if kind not in ROUNDS]
    if unknown:
        parser.error(f"--only names {', '.join(unknown)}; there are {', '.join(ROUNDS)}")
    return options


def available(options):
    return [kind for kind in ROUNDS if options.database == "postgres" or not kind.startswith("database")]


def redflag(*arguments, **more):
    """Runs the binary to its end; what it printed."""
    binary = os.environ.get("REDFLAG_BIN", TARGET / "release" / "redflag")
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, env=clean_environment(), **more)
    if done.returncode != 0:
        sys.exit(f"redflag {' '.join(map(str, arguments))} failed: {done.stderr.strip()}")
    return done.stdout


def clean_environment():
    """Settings of whoever runs this do not reach the processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REDFLAG_")} | {"NO_COLOR": "1"}


def script(name, *arguments):
    """Runs one of the scripts that start and stop servers; what it printed. A server keeps none of our pipes open."""
    out = TARGET / "chaos" / f"{name}.out"
    with out.open("w") as file:
        done = subprocess.run([ROOT / "scripts" / name, *arguments], stdout=file, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(f"scripts/{name} {' '.join(arguments)} failed: {out.read_text().strip()}")
    return out.read_text()


class Process:
    """One `redflag serve`."""

    def __init__(self, name, folder, settings):
        self.name = name
        self.log = folder / f"{name}.log"
        self.out = folder / f"{name}.out"
        self.config = folder / f"{name}.toml"
        self.config.write_text(settings.replace("DATA_DIR", str(folder / name)))
        self.child = None
        self.ended_badly = []

    def start(self):
        binary = os.environ.get("REDFLAG_BIN", TARGET / "release" / "redflag")
        with self.log.open("a") as log, self.out.open("w") as out:
            log.write(f"--- started at {time.strftime('%H:%M:%S', time.gmtime())}\n")
            log.flush()
            command = [binary, "serve", "--config", self.config]
            self.child = subprocess.Popen(command, stdout=out, stderr=log, env=clean_environment())

    def kill(self):
        self.note_end()
        self.child.kill()
        self.child.wait()

    def terminate(self):
        self.note_end()
        self.child.terminate()
        try:
            code = self.child.wait(60)
        except subprocess.TimeoutExpired:
            self.ended_badly.append(f"process {self.name} did not end within 60 s of SIGTERM")
            self.child.kill()
            code = self.child.wait()
        # One that has only just been started has nothing to end well, and does not listen yet.
        if code not in (0, -signal.SIGKILL, -signal.SIGTERM):
            self.ended_badly.append(f"process {self.name} ended with {code} after SIGTERM")

    def note_end(self):
        """A process that has ended by itself is a mistake."""
        if self.child.poll() is not None:
            self.ended_badly.append(f"process {self.name} ended by itself with {self.child.returncode}")

    def readiness(self):
        """What /readyz says."""
        try:
            address = self.out.read_text().split("http://")[-1].strip()
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as answer:
                return answer.status, answer.read().decode().strip()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode().strip()
        except (OSError, IndexError) as error:
            return 0, str(error)


def log_to(path):
    log = logging.getLogger(path.name)
    log.addHandler(logging.FileHandler(path))
    log.propagate = False
    return log


class Feed(threading.Thread):
    """Sends the transactions at a rate, and remembers what was sent."""

    def __init__(self, brokers, topic, transactions, rate, seed, reference):
        super().__init__(daemon=True)
        self.transactions, self.rate, self.topic = transactions, rate, topic
        self.dice = random.Random(seed)
        self.reference = reference
        self.producer = Producer({
            "bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 5, "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000, "message.timeout.ms": 300_000,
        }, logger=log_to(reference.with_name("sender.log")))
        self.sent = self.repeated = 0
        self.bad = []
        self.failed = []
        self.recent = collections.deque(maxlen=20_000)
        self.enough = threading.Event()

    def run(self):
        started, number = time.monotonic(), 0
        with self.transactions.open() as lines, self.reference.open("w") as reference:
            for line in lines:
                event = json.loads(line)
                for label in ("tx_fraud", "tx_fraud_scenario", "attack"):
                    event.pop(label, None)
                text = json.dumps(event, separators=(",", ":"))
                self.send(text, str(event["customer_id"]))
                reference.write(text + "\n")
                self.sent += 1
                self.recent.append((text, str(event["customer_id"])))
                number += 1
                if number % REPEAT_EVERY == 0:
                    self.repeated += 1
                    self.send(*self.dice.choice(self.recent))
                if number % BAD_EVERY == 0:
                    self.send_bad(event)
                if number % 100 == 0:
                    self.producer.poll(0)
                    time.sleep(max(0, started + number / self.rate - time.monotonic()))
                if self.enough.is_set():
                    break
            else:
                self.failed.append("the transactions ran out before the rounds did")
        left = self.producer.flush(120)
        if left:
            self.failed.append(f"{left} messages could not be sent")

    def send(self, text, key):
        while True:
            try:
                self.producer.produce(self.topic, text, key=key, on_delivery=self.delivered)
                return
            except BufferError:
                self.producer.poll(0.1)

    def delivered(self, error, _):
        if error:
            self.failed.append(f"a message was not delivered: {error}")

    def send_bad(self, event):
        """Each one differs from all others, so that it can be found again."""
        number = len(self.bad)
        mark = {**event, "transaction_id": f"bad-{number}"}
        kinds = [
            lambda: f"no JSON, number {number}",
            lambda: json.dumps({name: value for name, value in mark.items() if name != "tx_amount"}),
            lambda: json.dumps({**mark, "tx_amount": -3.5}),
            lambda: json.dumps({**mark, "tx_datetime": f"yesterday, {number}"}),
            lambda: json.dumps({**mark, "tx_datetime": "2118-01-01T00:00:00Z"}),
            lambda: json.dumps(mark)[:-7],
        ]
        text = kinds[number % len(kinds)]()
        self.bad.append(text)
        self.send(text, str(event["customer_id"]))


class Stage:
    """Servers, processes and the stream between them."""

    def __init__(self, options):
        self.options = options
        self.dice = random.Random(options.seed)
        self.summary = "nothing sent"
        self.stuck = []
        suffix = f"{options.seed}-{os.getpid()}"
        self.group = f"chaos-{suffix}"
        self.folder = TARGET / "chaos" / self.group
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        script("kafka", "start", "--nodes", str(options.nodes))
        self.brokers = script("kafka", "brokers").strip()
        self.database = self.make_database(f"redflag_chaos_{suffix.replace('-', '_')}")
        self.model = pathlib.Path(options.model).resolve() if options.model else self.grow_model()
        self.processes = [Process(name, self.folder, self.settings()) for name in "ab"]
        self.third = Process("c", self.folder, self.settings())
        self.topics = self.make_topics()
        self.feed = Feed(self.brokers, f"{self.group}.transactions", self.simulate(), options.rate, options.seed,
                         self.folder / "reference.jsonl")

    # --- what is needed -----------------------------------------------------------------------------------------------

    def make_database(self, name):
        if self.options.database != "postgres":
            return "none"
        script("postgres", "start")
        url = script("postgres", "url").strip()
        self.database_name = name
        self.database_server = url
        self.psql(f"CREATE DATABASE {name}")
        return url.rsplit("/", 1)[0] + "/" + name

    def psql(self, statement):
        program = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/psql"))[-1]
        subprocess.run([program, "--quiet", self.database_server, "--command", statement], check=True, stdout=subprocess.DEVNULL)

    def grow_model(self):
        history, model = self.folder / "history.parquet", self.folder / "model.json"
        redflag("simulate", "--detector", self.options.detector, "--rows", REPLAYED_HISTORY_ROWS, "--seed",
                self.options.seed + 1, "--out", history)
        redflag("train", "--detector", self.options.detector, "--in", history, "--trees", 50, "--out", model)
        return model

    def simulate(self):
        out = self.folder / "transactions.jsonl"
        longest_round_s = max(self.options.freeze, 20) + self.options.settle + 30
        rows = int(self.options.rate * (self.options.rounds * longest_round_s + 60))
        redflag("simulate", "--detector", self.options.detector, "--rows", rows, "--customers", 5_000, "--seed", self.options.seed,
                "--out", out)
        return out

    def settings(self):
        database = {"sqlite": ""}.get(self.options.database, f'database = "{self.database}"')
        topics = "\n".join(f'{key} = "{self.group}.{key}"' for key in
                           ("transactions", "decisions", "alerts", "dead_letter", "labels"))
        return f"""
listen = "127.0.0.1:0"
data_dir = "DATA_DIR"
detector = "{self.options.detector}"
model = "{self.model}"
{database}
[kafka]
brokers = "{self.brokers}"
group = "{self.group}"
snapshots = "{self.folder / 'snapshots'}"
snapshot_every = {self.options.snapshot_every}
{topics}
"""

    def make_topics(self):
        replicas = min(3, self.options.nodes)
        created = redflag("topics", "create", "--config", self.processes[0].config, "--partitions", PARTITIONS, "--replicas",
                          replicas, "--json")
        return list(json.loads(created))

    def groups(self):
        """Each consumer group and its topic."""
        prefix = f"{self.group}-by-"
        groups = {self.group: f"{self.group}.transactions"}
        for topic in self.topics:
            if topic.startswith(prefix):
                groups[f"{self.group}-{topic[len(prefix):]}"] = topic
        return groups

    # --- rounds -------------------------------------------------------------------------------------------------------

    def run(self):
        for process in self.processes:
            process.start()
        self.feed.start()
        time.sleep(5)
        for number in range(1, self.options.rounds + 1):
            kind = self.dice.choice(self.options.kinds)
            print(f"{number:4} {time.strftime('%H:%M:%S', time.gmtime())} {kind:15} ", end="", flush=True)
            what = ROUNDS[kind](self)
            time.sleep(self.dice.uniform(0, self.options.settle))
            print(f"{what}; {self.recover()}, sent {self.feed.sent}", flush=True)
            if self.stuck:
                break
        self.feed.enough.set()
        self.feed.join()
        stuck = self.stuck + self.wait_for_the_end()
        ready = [(process.name, *process.readiness()) for process in self.processes]
        for process in self.processes:
            process.terminate()
        wrong = stuck + self.feed.failed + self.check_processes()
        wrong += [f"process {name} is not ready in the end: {code} {text}" for name, code, text in ready if code != 200]
        return wrong + self.check()

    def recover(self):
        """Most rounds wait until the processes have caught up; others are met by the next one as they are."""
        started, enough = time.monotonic(), 3 * self.options.rate
        lag = self.lag()
        if self.dice.random() < OVERLAP:
            return f"{lag} behind"
        while not 0 <= lag < enough:
            if time.monotonic() - started > STUCK_S:
                self.stuck.append(f"{lag} messages behind, {STUCK_S} s after a round")
                self.stuck += [f"process {process.name} says {process.readiness()}" for process in self.processes]
                return f"STUCK with {lag} behind"
            time.sleep(0.25)
            lag = self.lag()
        return f"caught up after {time.monotonic() - started:.1f} s"

    def kill(self):
        return self.dead_for([self.dice.choice(self.processes)], 0.5, 2.5)

    def kill_both(self):
        return self.dead_for(self.processes, 0.5, 2.5)

    def kill_long(self):
        return self.dead_for([self.dice.choice(self.processes)], 9, 18)

    def dead_for(self, processes, least_s, most_s):
        for process in processes:
            process.kill()
        away = self.dice.uniform(least_s, most_s)
        time.sleep(away)
        for process in processes:
            process.start()
        names = " and ".join(process.name for process in processes)
        return f"dead for {away:.1f} s: {names}"

    def freeze(self):
        process = self.dice.choice(self.processes)
        process.child.send_signal(signal.SIGSTOP)
        time.sleep(self.options.freeze)
        process.child.send_signal(signal.SIGCONT)
        return f"{process.name} was frozen for {self.options.freeze:.0f} s"

    def restart(self):
        process = self.dice.choice(self.processes)
        process.terminate()
        process.start()
        return f"{process.name} ended and came back"

    def third_joins(self):
        self.third.start()
        stay = self.dice.uniform(5, 15)
        time.sleep(stay)
        if self.dice.random() < 0.5:
            self.third.terminate()
            return f"it stayed for {stay:.1f} s and left"
        self.third.kill()
        return f"it stayed for {stay:.1f} s and was killed"

    def broker(self, *how):
        node = str(self.dice.randint(1, self.options.nodes))
        script("kafka", "stop", "--node", node, *how)
        away = self.dice.uniform(0, 5)
        time.sleep(away)
        script("kafka", "start", "--node", node)
        return f"node {node} was away for {away:.1f} s and its start"

    def broker_kill(self):
        return self.broker("--kill")

    def restart_database(self, *how):
        script("postgres", "stop", *how)
        away = self.dice.uniform(0, 4)
        time.sleep(away)
        script("postgres", "start")
        return f"away for {away:.1f} s and its start"

    def crash_database(self):
        return self.restart_database("--now")

    # --- the end ------------------------------------------------------------------------------------------------------

    def lag(self):
        """Messages that are not sent or not consumed, over all groups; -1 if Kafka cannot tell now."""
        try:
            return len(self.feed.producer) + sum(self.lag_of(group, topic) for group, topic in self.groups().items())
        except KafkaException:
            return -1

    def lag_of(self, group, topic):
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": group, "isolation.level": "read_uncommitted",
                             "log_level": 0})
        try:
            places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            behind = 0
            for place in consumer.committed(places, timeout=10):
                first, end = consumer.get_watermark_offsets(place, timeout=10)
                behind += end - max(place.offset, first)
            return behind
        finally:
            consumer.close()

    def wait_for_the_end(self):
        least, since = None, time.monotonic()
        started = since
        while True:
            lag = self.lag()
            if lag == 0:
                print(f"     {time.strftime('%H:%M:%S', time.gmtime())} nothing is left after {time.monotonic() - started:.0f} s")
                return []
            if lag > 0 and (least is None or lag < least):
                least, since = lag, time.monotonic()
            if time.monotonic() - since > STUCK_S:
                return [f"stuck: {least} messages are left"]
            time.sleep(0.5)

    def check_processes(self):
        wrong = []
        for process in [*self.processes, self.third]:
            wrong += process.ended_badly
            text = process.log.read_text() if process.log.exists() else ""
            wrong += [f"process {process.name} panicked" for line in text.splitlines() if "panicked at" in line]
        return wrong

    def check(self):
        expected = self.replay()
        decided = self.read_decisions()
        wrong = compare("topic", expected, decided)
        wrong += self.check_dead_letters()
        if self.options.database == "postgres":
            wrong += compare("database", expected, self.export("--database", self.database))
        elif self.options.database == "sqlite":
            wrong += self.check_files(expected)
        self.summary = f"{len(expected)} transactions, {self.feed.repeated} repeated, {len(self.feed.bad)} bad, {len(decided)} decisions"
        return wrong

    def replay(self):
        out = self.folder / "replay.jsonl"
        redflag("replay", "--detector", self.options.detector, "--model", self.model, "--in", self.folder / "reference.jsonl",
                "--out", out)
        return list(read_rows(out))

    def read_decisions(self):
        rows = []
        for message in self.read(f"{self.group}.decisions"):
            decision = json.loads(message.value())
            rows.append((decision["id"], decision["score"], decision["outcome"]))
        return rows

    def check_dead_letters(self):
        found = collections.Counter(message.value().decode() for message in self.read(f"{self.group}.dead_letter"))
        bad = set(self.feed.bad)
        missing = [text for text in self.feed.bad if text not in found]
        twice = [text for text, count in found.items() if count > 1]
        other = [text for text in found if text not in bad]
        return [f"dead letters: {len(texts)} {what}, such as {texts[:2]}" for what, texts in
                (("missing", missing), ("more than once", twice), ("that were not bad", other)) if texts]

    def export(self, *source):
        out = self.folder / "export.jsonl"
        redflag("store", "export", *source, "--out", out)
        return list(read_rows(out))

    def check_files(self, expected):
        """Each process has a file of its own: what one has stored and could not commit, another has stored again."""
        rows = {}
        for process in [*self.processes, self.third]:
            if (self.folder / process.name / "redflag.db").exists():
                rows.update({row[0]: row for row in self.export("--data-dir", self.folder / process.name)})
        return compare("databases", expected, list(rows.values()))

    def read(self, topic):
        """All committed messages."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": f"{self.group}-check", "enable.auto.commit": False,
                             "isolation.level": "read_committed", "enable.partition.eof": True, "log_level": 0})
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        ended = set()
        while len(ended) < len(partitions):
            for message in consumer.consume(10_000, 1.0):
                if message.error():
                    ended.add(message.partition())
                else:
                    yield message
        consumer.close()

    def tear_down(self, keep):
        for process in [*self.processes, self.third]:
            if process.child and process.child.poll() is None:
                process.child.kill()
                process.child.wait()
        self.feed.enough.set()
        if keep:
            print(f"kept: {self.folder}")
            return
        for deletion in AdminClient({"bootstrap.servers": self.brokers}).delete_topics(self.topics).values():
            deletion.exception()
        if self.options.database == "postgres":
            self.psql(f"DROP DATABASE IF EXISTS {self.database_name} WITH (FORCE)")
        shutil.rmtree(self.folder, ignore_errors=True)


def read_rows(path):
    with path.open() as lines:
        for line in lines:
            row = json.loads(line)
            yield str(row["id"]), row["score"], row["outcome"]


def compare(where, expected, found):
    """What is wrong with what was found, as lines."""
    wrong = []
    wanted = {row[0]: row[1:] for row in expected}
    have = {row[0]: row[1:] for row in found}
    counts = collections.Counter(row[0] for row in found)
    cases = {
        "missing": [id for id in wanted if id not in have],
        "more than once": [id for id, count in counts.items() if count > 1],
        "that nobody sent": [id for id in have if id not in wanted],
        "other than the replay's": [id for id, row in have.items() if id in wanted and row != wanted[id]],
    }
    for what, ids in cases.items():
        if ids:
            examples = ", ".join(f"{id} (replay {wanted.get(id)}, found {have.get(id)})" for id in ids[:3])
            wrong.append(f"{where}: {len(ids)} decisions {what}: {examples}")
    return wrong


ROUNDS = {
    "kill": Stage.kill,
    "kill-both": Stage.kill_both,
    "kill-long": Stage.kill_long,
    "freeze": Stage.freeze,
    "restart": Stage.restart,
    "third": Stage.third_joins,
    "broker": Stage.broker,
    "broker-kill": Stage.broker_kill,
    "database": Stage.restart_database,
    "database-crash": Stage.crash_database,
}

if __name__ == "__main__":
    main()
