#!/usr/bin/env python3
"""The tables of scripts/compare_memories.sh: of each memory the learning rate whose seeds found most passkeys.

    scripts/memories_table.py FOLDER MEMORY...

Reads FOLDER/MEMORY/RATE-SEED; means over seeds, and lowest to highest behind them. Runs that lack passkeys are left out, and
how many seeds there were is told.
"""

import json
import math
import pathlib
import statistics
import sys

SEGMENT = 32  # tokens, of every recipe
STORIES = ("qa1", "qa2", "qa3")


def cells_of(run, pattern):
    """The cells of every sweep of `run` whose folder matches: one sweep may be asked in parts."""
    cells = []
    for file in sorted(run.glob(f"{pattern}/*.json")):
        cells += json.loads(file.read_text())["cells"]
    return cells


def by_segments(cells, key="length_tokens"):
    """Accuracy in percent by length."""
    rows = {}
    for cell in cells:
        rows.setdefault(cell[key] // SEGMENT, []).append(cell)
    return {n: 100 * sum(c["correct"] for c in row) / sum(c["trials"] for c in row) for n, row in sorted(rows.items())}


def pairs_known(cells):
    """By distance, of the most pairs that the memory held: pairs times the share of questions answered."""
    known = {}
    for cell in cells:
        distance = cell["distance_tokens"] // SEGMENT
        known[distance] = max(known.get(distance, 0.0), cell["pairs_known"])
    return dict(sorted(known.items()))


def lines_of(run):
    lines = [json.loads(line) for line in (run / "train/metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "tokens_per_second" in line and "answer_loss" in line]


def speed_of(run):
    """Tokens a second over the last stage; 0 where nothing was logged."""
    lines = [line for line in lines_of(run) if line["stage"].startswith("2-8")]
    seconds = sum(line["seconds"] for line in lines)
    return sum(line["seconds"] * line["tokens_per_second"] for line in lines) / seconds if seconds else 0.0


def answers_of(run):
    """What one run answered, table by table; None where it was not asked."""
    grid = by_segments(cells_of(run, "grid*"))
    if not grid:
        return None
    answers = {"on the grid": grid, "off the grid": by_segments(cells_of(run, "off*"))}
    answers["pairs"] = pairs_known(cells_of(run, "capacity"))
    for story in STORIES:
        answers[story] = by_segments(cells_of(run, story))
    answers["speed"] = {"tokens/s": speed_of(run)}
    answers["loss"] = statistics.mean([line["answer_loss"] for line in lines_of(run)[-3:]] or [math.inf])
    return answers


def spread(values, digits):
    if not values:
        return "–"
    mean = f"{statistics.mean(values):,.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def best_rate(folder):
    """The rate with the highest mean over its seeds and lengths, and what its seeds answered."""
    rates = {}
    for run in sorted(path for path in folder.glob("*-*") if path.is_dir()):
        answers = answers_of(run)
        if answers:
            rates.setdefault(run.name.rpartition("-")[0], []).append(answers)
    if not rates:
        return None, []

    # Lengths that every run was asked: the best one may have been asked for more.
    runs = [run["on the grid"] for seeds in rates.values() for run in seeds]
    common = set.intersection(*(set(run) for run in runs))

    def score(rate):
        """Where two found as many, the lower loss of the answers at the end of training decides."""
        found = statistics.mean(run["on the grid"][n] for run in rates[rate] for n in common)
        return found, -statistics.mean(run["loss"] for run in rates[rate])

    best = max(rates, key=score)
    return best, rates[best]


def table(rows, tables, digits):
    """One table: a column for each (name, key) that any seed of any memory has."""
    columns = []
    for name in tables:
        keys = {key for _, _, seeds in rows for seed in seeds for key in seed[name]}
        columns += [(name, key) for key in sorted(keys)]
    head = ["memory", "rate", "seeds", *(f"{name}, {key}" if name != "speed" else key for name, key in columns)]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for memory, rate, seeds in rows:
        cells = [memory, rate or "no run finished", str(len(seeds))]
        cells += [spread([seed[name][key] for seed in seeds if key in seed[name]], digits) for name, key in columns]
        print("| " + " | ".join(cells) + " |")
    print()


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.strip())
    rows = [(memory, *best_rate(pathlib.Path(sys.argv[1]) / memory)) for memory in sys.argv[2:]]
    print("Passkey, % by segments\n")
    table(rows, ("on the grid", "off the grid"), 1)
    print("Pairs known, by segments of filler\n")
    table(rows, ("pairs",), 2)
    print("Stories, % by segments\n")
    table(rows, STORIES, 0)
    print("Training, last stage\n")
    table(rows, ("speed",), 0)


if __name__ == "__main__":
    main()
