"""What a run has logged."""

import dataclasses
import json
import os
import pathlib
from typing import Any

import numpy


@dataclasses.dataclass
class Metrics:
    """The lines of a run's metrics.jsonl; docs/formats.md says what each key holds."""

    steps: list[dict[str, Any]]
    """One dict a step: `step`, `loss`, `lr`, `tokens_seen` …"""
    validations: list[dict[str, Any]]
    """One dict a validation: `step`, and `validation` with a dict a data set."""

    def column(self, key: str) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The steps [n] that have `key`, and its values [n] (NaN where not finite)."""
        rows = [(line["step"], line[key]) for line in self.steps if key in line]
        values = [numpy.nan if value is None else value for _, value in rows]
        return numpy.array([step for step, _ in rows], dtype=numpy.int64), numpy.array(values)


def read_metrics(path: str | os.PathLike[str]) -> Metrics:
    """Reads the metrics of a run: its directory, or the file. A run may still be writing it."""
    file = pathlib.Path(path)
    if file.is_dir():
        file = file / "metrics.jsonl"
    metrics = Metrics([], [])
    for text in file.read_text(encoding="utf-8").split("\n")[:-1]:  # after the last end: a torn line
        line = json.loads(text)
        (metrics.validations if "validation" in line else metrics.steps).append(line)
    return metrics
