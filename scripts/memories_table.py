#!/usr/bin/env python3
"""The table of scripts/compare_memories.sh: of each memory the learning rate whose seeds found most passkeys.

    scripts/memories_table.py FOLDER MEMORY...

Reads FOLDER/MEMORY/RATE-SEED; means over seeds, and lowest to highest behind them. Runs that lack answers are left out, and
how many seeds there were is told.
"""

import json
import pathlib
import statistics
import sys


def answers_of(run):
    """Accuracy by segments, pairs known by (segments, pairs), tokens a second; None where a file is missing."""
    try:
        passkey = json.loads((run / "passkey/passkey.json").read_text())
        capacity = json.loads((run / "capacity/capacity.json").read_text())
        lines = [json.loads(line) for line in (run / "train/metrics.jsonl").read_text().splitlines()]
    except FileNotFoundError:
        return None
    length = passkey["segment_length"]
    found = {}
    for cell in passkey["cells"]:
        found.setdefault(cell["length_tokens"] // length, []).append(cell["accuracy"])
    known = {}
    for cell in capacity["cells"]:
        distance = cell["distance_tokens"] // length
        known[distance] = max(known.get(distance, 0.0), cell["pairs_known"])
    speeds = [line["tokens_per_second"] for line in lines if "tokens_per_second" in line]
    return ({n: statistics.mean(cells) for n, cells in found.items()}, known, statistics.median(speeds or [0]))


def spread(values, scale, digits):
    values = [scale * value for value in values]
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def best_rate(folder):
    """The rate with the highest mean over its seeds and lengths, and what its seeds answered."""
    rates = {}
    for run in sorted(path for path in folder.glob("*-*") if path.is_dir()):
        answers = answers_of(run)
        if answers:
            rates.setdefault(run.name.rpartition("-")[0], []).append(answers)
    if not rates:
        return None, []
    score = lambda rate: statistics.mean(statistics.mean(found.values()) for found, _, _ in rates[rate])
    best = max(rates, key=score)
    return best, rates[best]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.strip())
    rows, lengths, distances = [], [], []
    for memory in sys.argv[2:]:
        rate, seeds = best_rate(pathlib.Path(sys.argv[1]) / memory)
        rows.append((memory, rate, seeds))
        for found, known, _ in seeds:
            lengths = sorted({*lengths, *found})
            distances = sorted({*distances, *known})
    head = ["memory", "rate", "seeds", *(f"passkey at {n} segments, %" for n in lengths),
            *(f"pairs known {n} segments on" for n in distances), "tokens/s"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for memory, rate, seeds in rows:
        if not seeds:
            print(f"| {memory} | no run finished |" + " |" * (len(head) - 2))
            continue
        cells = [memory, rate, str(len(seeds))]
        cells += [spread([found[n] for found, _, _ in seeds], 100, 1) for n in lengths]
        cells += [spread([known[n] for _, known, _ in seeds], 1, 2) for n in distances]
        cells.append(f"{statistics.mean(speed for _, _, speed in seeds):,.0f}")
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
