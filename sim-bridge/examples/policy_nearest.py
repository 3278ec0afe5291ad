#!/usr/bin/env python3
"""The nearest node, as a policy of its own: the built-in greedy-nearest, said in Python.

Of the nodes that have room for a task and meet all of its objectives now, it takes the one whose
longest latency is the shortest. The protocol is described in docs/guide-policies.md.
"""

import json
import sys

# Of equally near nodes the first in this order, then the one with the lowest number.
KINDS = ["ground-station", "cloud", "edge", "satellite"]


def hear():
    """The next line of the simulator; None when the run is over."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def say(what):
    print(json.dumps(what), flush=True)


def longest_ms(sources, node):
    """The longest latency of the inputs to a node; None where one is out of reach or too far."""
    longest = 0.0
    for source in sources:
        ms, most = source["latency_ms"][node], source["latency_max_ms"]
        if ms is None or (most is not None and most < ms):
            return None
        longest = max(longest, ms)
    return longest


def decide(nodes, order, question):
    say({"ask": "fits"})
    why_not = hear()["fits"]["why_not"]
    best = None
    for node in order:
        if why_not[node] is not None:
            continue
        ms = longest_ms(question["sources"], node)
        if ms is not None and (best is None or ms < best[0]):
            best = (ms, node)
    if best is None:
        return {"none": "no node with room is near enough"}
    return {"place": [{"node": nodes[best[1]]["name"]}]}


def main():
    hello = hear()
    nodes = hello["nodes"]
    # sorted() leaves equal ones in their order: that of their numbers.
    order = sorted(range(len(nodes)), key=lambda node: KINDS.index(nodes[node]["kind"]))
    say({"ready": 1})
    while (question := hear()) is not None:
        say(decide(nodes, order, question))


if __name__ == "__main__":
    main()
