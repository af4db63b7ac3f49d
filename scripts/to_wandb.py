#!/usr/bin/env python3
"""Carries a run's metrics and settings over to Weights & Biases.

    pip install wandb
    scripts/to_wandb.py runs/mine --project fcc                # needs an account
    scripts/to_wandb.py runs/mine --project fcc --offline      # `wandb sync` uploads it later

Steps, times and validations are those of metrics.jsonl. Called again for a longer run it makes a new one.
"""

import argparse
import os

from run_metrics import config_of, lines_of


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="run directory")
    parser.add_argument("--project", default="fcc")
    parser.add_argument("--name", help="default: the directory's name")
    parser.add_argument("--offline", action="store_true", help="write into ./wandb alone, without a network")
    arguments = parser.parse_args()
    rows = list(lines_of(arguments.run))  # before anything is made elsewhere

    import wandb

    name = arguments.name or os.path.basename(os.path.abspath(arguments.run))
    run = wandb.init(project=arguments.project, name=name, config=config_of(arguments.run),
                     mode="offline" if arguments.offline else "online")
    joined = {}  # a step and its validation are one row there
    for step, time, values in rows:
        joined.setdefault(step, {}).update(values, **({"_timestamp": time} if time else {}))
    for step, values in joined.items():
        run.log(values, step=step)
    run.finish()
    print(f"{name}: {len(joined)} steps")


if __name__ == "__main__":
    main()
