#!/usr/bin/env python3
"""Carries a run's metrics and settings over to MLflow.

    pip install mlflow
    scripts/to_mlflow.py runs/mine --experiment fcc                                     # MLFLOW_TRACKING_URI, or ./mlruns
    scripts/to_mlflow.py runs/mine --experiment fcc --tracking-uri sqlite:///mlflow.db  # a file, without a network

Steps, times and validations are those of metrics.jsonl. Called again for a longer run it makes a new one.
"""

import argparse
import os

from run_metrics import config_of, lines_of

MOST_METRICS, MOST_PARAMS, MOST_LETTERS = 1000, 100, 500  # that a call takes


def parts(values, size):
    return [values[first:first + size] for first in range(0, len(values), size)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="run directory")
    parser.add_argument("--experiment", default="fcc")
    parser.add_argument("--name", help="default: the directory's name")
    parser.add_argument("--tracking-uri", help="default: MLflow's own")
    arguments = parser.parse_args()
    rows = list(lines_of(arguments.run))  # before anything is made elsewhere

    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(tracking_uri=arguments.tracking_uri)
    experiment = client.get_experiment_by_name(arguments.experiment)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(arguments.experiment)
    times = [int(time * 1000) if time else 0 for _, time, _ in rows]
    name = arguments.name or os.path.basename(os.path.abspath(arguments.run))
    run_id = client.create_run(experiment_id, start_time=times[0] if times else 0, run_name=name).info.run_id
    params = [Param(key, str(value)[:MOST_LETTERS]) for key, value in config_of(arguments.run).items()]
    for part in parts(params, MOST_PARAMS):
        client.log_batch(run_id, params=part)
    metrics = [Metric(key, value, time, step)
               for (step, _, values), time in zip(rows, times) for key, value in values.items()]
    for part in parts(metrics, MOST_METRICS):
        client.log_batch(run_id, metrics=part)
    client.set_terminated(run_id, end_time=times[-1] if times else 0)
    print(f"{name}: {len(metrics)} values")


if __name__ == "__main__":
    main()
