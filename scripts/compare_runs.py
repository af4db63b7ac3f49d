#!/usr/bin/env python3
"""Compares two runs step by step: the worst difference of loss and gradient norm.

    scripts/compare_runs.py runs/check_bf16 runs/check_fp32 --max-loss 0.01 --max-norm 0.03 --min-fall 0.1

Each argument is a run directory or a metrics.jsonl; the second is what is compared against. Exit
code 1 if a bound is broken or the runs have no or not the same steps, 2 for bad usage.
"""

import argparse
import json
import math
import os
import sys


def steps_of(path):
    if os.path.isdir(path):
        path = os.path.join(path, "metrics.jsonl")
    with open(path, encoding="utf-8") as lines:
        parsed = [json.loads(line) for line in lines]
    return {line["step"]: line for line in parsed if "grad_norm" in line}


def difference(a, b):
    """|a - b| / |b|; infinite where one is not finite (null in the file)."""
    if a is None or b is None or not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / max(abs(b), 1e-300)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="run directory or metrics.jsonl")
    parser.add_argument("reference", help="the run that it is compared against")
    parser.add_argument("--max-loss", type=float, help="largest relative difference of the loss")
    parser.add_argument("--max-norm", type=float, help="the same of the gradient's norm")
    parser.add_argument("--min-fall", type=float, help="share by which both losses must fall")
    parser.add_argument("--all", action="store_true", help="print every step")
    arguments = parser.parse_args()

    run, reference = steps_of(arguments.run), steps_of(arguments.reference)
    if not run or run.keys() != reference.keys():
        print(f"different steps: {len(run)} and {len(reference)}", file=sys.stderr)
        return 1
    steps = sorted(run)
    broken = []
    for key, most in (("loss", arguments.max_loss), ("grad_norm", arguments.max_norm)):
        by_step = {step: difference(run[step][key], reference[step][key]) for step in steps}
        worst = max(steps, key=lambda step: by_step[step])
        print(f"{key}: worst difference {100 * by_step[worst]:.3f} % at step {worst}: "
              f"{run[worst][key]} against {reference[worst][key]}")
        if most is not None and not by_step[worst] <= most:
            broken.append(f"{key} differs by more than {100 * most:g} %")
        if arguments.all:
            print("  " + " ".join(f"{step}:{100 * by_step[step]:.2f}%" for step in steps))
    for name, metrics in ((arguments.run, run), (arguments.reference, reference)):
        first, last = metrics[steps[0]]["loss"], metrics[steps[-1]]["loss"]
        fall = 1 - last / first if first and last is not None else -math.inf
        norm = max((metrics[step]["grad_norm"] or math.inf) for step in steps)
        print(f"{name}: loss {first} -> {last}, a fall of {100 * fall:.1f} %; largest norm {norm}")
        if arguments.min_fall is not None and not fall >= arguments.min_fall:
            broken.append(f"the loss of {name} falls by less than {100 * arguments.min_fall:g} %")
    for problem in broken:
        print("broken: " + problem)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
