"""scripts/memories_table.py: of each memory the best rate, with the spread of its seeds."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/memories_table.py"


def write_run(folder, memory, rate, seed, found, loss=1.0, sweep="grid"):
    """A run whose sweep answered `found` of 10 by length in segments."""
    run = folder / memory / f"{rate}-{seed}"
    (run / "train").mkdir(parents=True, exist_ok=True)
    (run / sweep).mkdir()
    cells = [{"length_tokens": 32 * n, "correct": right, "trials": 10} for n, right in found.items()]
    (run / sweep / "passkey.json").write_text(json.dumps({"cells": cells}))
    line = {"stage": "2-8 segments", "seconds": 2.0, "tokens_per_second": 1000.0, "answer_loss": loss}
    (run / "train/metrics.jsonl").write_text(json.dumps(line) + "\n")


def table(folder, *memories):
    """The first table's rows as lists of cells."""
    done = subprocess.run([sys.executable, SCRIPT, folder, *memories], capture_output=True, text=True, check=True)
    first = done.stdout.split("\n\n")[1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in first.splitlines()]


class MemoriesTable(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_the_rate_that_finds_most_is_shown_with_its_seeds_lowest_to_highest(self):
        write_run(self.folder, "fcc", "1e-3", 1, {16: 10, 256: 3})
        for seed, right in ((1, 8), (2, 10)):
            write_run(self.folder, "fcc", "3e-3", seed, {16: 10, 256: right})
        head, _, row = table(self.folder, "fcc")
        self.assertEqual(head[3:5], ["on the grid, 16", "on the grid, 256"])
        self.assertEqual(row, ["fcc", "3e-3", "2", "100.0 (100.0–100.0)", "90.0 (80.0–100.0)"])

    def test_where_two_rates_find_as_many_the_lower_loss_of_answers_decides(self):
        write_run(self.folder, "rmt", "1e-3", 1, {16: 0}, loss=2.0)
        write_run(self.folder, "rmt", "3e-3", 1, {16: 0}, loss=1.5)
        self.assertEqual(table(self.folder, "rmt")[2][1], "3e-3")

    def test_a_sweep_asked_in_two_parts_is_one_and_does_not_tilt_the_choice(self):
        write_run(self.folder, "fcc", "1e-3", 1, {16: 9})
        write_run(self.folder, "fcc", "3e-3", 1, {16: 10})
        write_run(self.folder, "fcc", "3e-3", 1, {4096: 0}, sweep="grid4096")
        row = table(self.folder, "fcc")[2]
        self.assertEqual(row[1:], ["3e-3", "1", "100.0", "0.0"])

    def test_a_memory_without_a_finished_run_is_said_to_have_none(self):
        write_run(self.folder, "fcc", "1e-3", 1, {16: 9})
        rows = table(self.folder, "fcc", "rmt")
        self.assertEqual(rows[3][:3], ["rmt", "no run finished", "0"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
