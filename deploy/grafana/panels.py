"""Runs every panel's query against the Prometheus at $URL, as Grafana would, and says which has no data.

usage: URL=http://127.0.0.1:19090 panels.py DASHBOARD.json...
"""

import json
import os
import sys
import urllib.parse
import urllib.request

# What Grafana puts in the places of its variables.
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*"}


def answer(query):
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    parameters = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"{os.environ['URL']}/api/v1/query?{parameters}") as found:
        return json.load(found)["data"]["result"]


def main(files):
    empty = 0
    for file in files:
        with open(file) as opened:
            board = json.load(opened)
        for panel in board["panels"]:
            for target in panel["targets"]:
                series = len(answer(target["expr"]))
                empty += series == 0
                print(f"{'ok' if series else 'NO DATA'}: {board['uid']}: {panel['title']}: {series} series: {target['expr']}")
    print(f"{empty} queries have no data")
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
