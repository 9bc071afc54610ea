"""What people write today, written well: a consumer that takes transactions in batches, counts and averages per customer
and terminal in dictionaries, scores the batch with LightGBM (200 trees), produces the decisions, and commits them with the
offsets in one Kafka transaction. No windows are exact here: counts since the start stand in for them.

usage: peer.py BROKERS TRANSACTIONS DECISIONS EVENTS
"""

import json
import os
import sys
import time

import confluent_kafka
import lightgbm
import numpy
from confluent_kafka import Consumer, Producer

FEATURES = 15
BATCH = 2000


def grow():
    generator = numpy.random.default_rng(0)
    x = generator.random((20_000, FEATURES))
    y = (x[:, 0] + x[:, 1] * generator.random(20_000) > 1.4).astype(int)
    parameters = {"objective": "binary", "num_leaves": 31, "num_threads": 1, "verbose": -1}
    return lightgbm.train(parameters, lightgbm.Dataset(x, y), 200)


def main(brokers, transactions, decisions, events):
    model = grow()
    model.predict(numpy.zeros((1, FEATURES)), num_threads=1)
    group = f"{transactions}-python-{os.getpid()}"
    consumer = Consumer({
        "bootstrap.servers": brokers, "group.id": group, "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "isolation.level": "read_committed",
    })
    producer = Producer({
        "bootstrap.servers": brokers, "transactional.id": group, "linger.ms": 1, "compression.type": "lz4",
        "queue.buffering.max.messages": 200_000,
    })
    producer.init_transactions()
    consumer.subscribe([transactions])
    customers, terminals = {}, {}
    done, began, used = 0, None, time.process_time()
    while done < events:
        messages = [message for message in consumer.consume(BATCH, 1.0) if message.error() is None]
        if not messages:
            continue
        began = began or time.perf_counter()
        rows = numpy.zeros((len(messages), FEATURES))
        parsed = []
        for row, message in zip(rows, messages):
            event = json.loads(message.value())
            amount = event["tx_amount"]
            row[0] = amount
            for offset, seen, key in ((1, customers, event["customer_id"]), (4, terminals, event["terminal_id"])):
                entry = seen.setdefault(key, [0, 0.0])
                entry[0] += 1
                entry[1] += amount
                row[offset], row[offset + 1] = entry[0], entry[1] / entry[0]
            parsed.append(event)
        scores = model.predict(rows, num_threads=1)
        producer.begin_transaction()
        for message, event, score in zip(messages, parsed, scores):
            decision = {"id": event["transaction_id"], "score": float(score),
                        "outcome": "review" if score > 0.5 else "approve",
                        "source": {"partition": message.partition(), "offset": message.offset()}}
            producer.produce(decisions, json.dumps(decision), key=message.key())
        producer.poll(0)
        producer.send_offsets_to_transaction(consumer.position(consumer.assignment()),
                                             consumer.consumer_group_metadata())
        producer.commit_transaction()
        done += len(messages)
    seconds, used = time.perf_counter() - began, time.process_time() - used
    consumer.close()
    versions = f"Python (confluent-kafka {confluent_kafka.__version__}, LightGBM {lightgbm.__version__})"
    print(json.dumps({"versions": versions, "events": done, "seconds": seconds, "cpu_seconds": used}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
