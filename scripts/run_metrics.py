"""Reads a run's directory for scripts/to_wandb.py and scripts/to_mlflow.py."""

import json
import math
import pathlib
import sys

NO_METRIC = {"step", "stage", "time", "validation", "skipped"}


def config_of(run):
    """The settings as one level: `optim.lr`, `train.stages.0.steps`."""
    path = pathlib.Path(run) / "config.json"
    if not path.exists():
        return {}
    flat = {}

    def walk(prefix, value):
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else key, inner)
        elif isinstance(value, list) and any(isinstance(inner, (dict, list)) for inner in value):
            for index, inner in enumerate(value):
                walk(f"{prefix}.{index}", inner)
        else:
            flat[prefix] = value

    walk("", json.loads(path.read_text(encoding="utf-8")))
    return flat


def lines_of(run):
    """(step, Unix time or None, {name: number}) of each line; a last line that is torn is left out."""
    path = pathlib.Path(run) / "metrics.jsonl"
    if not path.exists():
        sys.exit(f"{path}: must be a run's metrics")
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            row = json.loads(line)
        except ValueError:
            if number == len(lines):
                return
            sys.exit(f"{path}, line {number}: must be JSON")
        values = {key: value for key, value in row.items() if key not in NO_METRIC}
        for dataset, found in row.get("validation", {}).items():
            for key, value in found.items():
                if isinstance(value, list):
                    for segment, loss in enumerate(value):
                        values[f"validation/{dataset}/segment_{segment:04}"] = loss
                else:
                    values[f"validation/{dataset}/{key}"] = value
        values["skipped"] = 1 if row.get("skipped") else 0
        if "validation" in row:
            values.pop("skipped")
            values.pop("seconds", None)
        yield row["step"], row.get("time"), {key: float(value) for key, value in values.items()
                                             if isinstance(value, (int, float)) and math.isfinite(value)}
