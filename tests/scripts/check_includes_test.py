#!/usr/bin/env python3
"""Tests scripts/check_includes.py on trees made for it: who may include whom, and public headers
that show nothing of the inside."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/check_includes.py"


def offences_of(files):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, include in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'#include "{include}"\n')
        done = subprocess.run([sys.executable, "-B", SCRIPT, root], capture_output=True, text=True)
    return done.returncode, done.stdout


class CheckIncludes(unittest.TestCase):
    def test_what_may_be_included_passes(self):
        code, out = offences_of({
            "include/fcc/engine/executor.h": "fcc/model/parameters.h",
            "src/engine/chunk.cpp": "engine/chunk.h",
            "src/eval/pictures.h": "plot/plot.h",
            "include/fcc/fcc.h": "fcc/train/trainer.h",
        })
        self.assertEqual(code, 0, out)

    def test_a_folder_that_is_further_up_is_refused(self):
        code, out = offences_of({"src/model/reference.cpp": "fcc/engine/executor.h"})
        self.assertEqual(code, 1)
        self.assertIn("model may not include engine", out)

    def test_pictures_are_for_eval_alone(self):
        code, out = offences_of({"src/train/metrics.cpp": "plot/plot.h"})
        self.assertEqual(code, 1)
        self.assertIn("train may not include plot", out)

    def test_a_public_header_includes_no_inner_one(self):
        code, out = offences_of({"include/fcc/engine/executor.h": "engine/chunk.h"})
        self.assertEqual(code, 1)
        self.assertIn("a public header may not include an internal one", out)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
