"""Training runs, as fcc-train's."""

import dataclasses
import json
import os
import pathlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fcc import _fcc
from fcc._errors import Error

Config = Mapping[str, Any] | str | os.PathLike[str]
Observer = Callable[[dict[str, Any]], Any]

_one_run = threading.Lock()


@dataclasses.dataclass
class TrainResult:
    """How a run ended."""

    finished: bool
    """False: it was stopped, and saved a checkpoint; `resume="auto"` goes on."""
    output: pathlib.Path
    """The run directory."""
    last: dict[str, Any] | None
    """The metrics of the last step; None where there was none."""

    @property
    def model(self) -> pathlib.Path:
        """Where a finished run's model is, for `load`."""
        return self.output / "final"


def _open(config: Config, overrides: Sequence[str]) -> _fcc.Run:
    if isinstance(config, Mapping):
        return _fcc.Run(json.dumps(config, default=os.fspath), "config", list(overrides))
    return _fcc.Run(None, os.fspath(config), list(overrides))


def _run(
    run: _fcc.Run,
    resume: str | os.PathLike[str] | None,
    new_course: bool,
    verbose: bool,
    on_line: Callable[[str], bool],
) -> bool:
    # Log and number of threads are the process's.
    if not _one_run.acquire(blocking=False):
        raise Error(
            "train: a process can train one model at a time",
            "train",
            "a process can train one model at a time",
        )
    try:
        return run.run(None if resume is None else os.fspath(resume), new_course, verbose, on_line)
    finally:
        _one_run.release()


def train(
    config: Config,
    *,
    overrides: Sequence[str] = (),
    resume: str | os.PathLike[str] | None = None,
    new_course: bool = False,
    on_step: Observer | None = None,
    on_validation: Observer | None = None,
    verbose: bool = False,
) -> TrainResult:
    """Trains a model as a configuration says: a dict, or a file of JSON (docs/configuration.md).

    config, overrides: as fcc-train's file and its `--set` (`"optim.lr=1e-4"`).
    resume: `auto` goes on from the run's newest whole checkpoint, if there is one; or a checkpoint.
    new_course: with `resume`, takes changed keys of optim, train, loss and engine.
    on_step, on_validation: called with the metrics of each (the dicts of `read_metrics`); one that
    returns False ends the run.
    verbose: the log goes to standard error too; it is always in the run directory.

    A run that is ended so, by an exception of a callback or by Ctrl-C saves a checkpoint first; the
    exception (KeyboardInterrupt) then comes up. One process, one GPU; the interpreter's lock is free.
    """
    run = _open(config, overrides)
    last: dict[str, Any] | None = None

    def on_line(text: str) -> bool:
        nonlocal last
        line = json.loads(text)
        if "validation" in line:
            return on_validation is None or on_validation(line) is not False
        last = line
        return on_step is None or on_step(line) is not False

    finished = _run(run, resume, new_course, verbose, on_line)
    return TrainResult(finished, pathlib.Path(run.output), last)


def train_steps(
    config: Config,
    *,
    overrides: Sequence[str] = (),
    resume: str | os.PathLike[str] | None = None,
    new_course: bool = False,
    verbose: bool = False,
) -> Iterator[dict[str, Any]]:
    """Trains as `train` does, and gives out the metrics of each step and validation as they come.

    Training goes on in another thread, one step ahead of the loop at most. When the loop is left, the
    run saves a checkpoint and ends.
    """
    run = _open(config, overrides)
    return _iterate(run, resume, new_course, verbose)


def _iterate(
    run: _fcc.Run, resume: str | os.PathLike[str] | None, new_course: bool, verbose: bool
) -> Iterator[dict[str, Any]]:
    lines: queue.Queue[str | None] = queue.Queue(maxsize=1)
    is_left = threading.Event()
    failure: list[BaseException] = []

    def hand_over(line: str | None) -> bool:
        # An exception in the loop's body leaves the iterator open as long as its traceback is kept:
        # at the interpreter's end, which waits for this thread, nobody is there to take a line.
        while not is_left.is_set() and threading.main_thread().is_alive():
            try:
                lines.put(line, timeout=0.1)
                return True
            except queue.Full:
                pass
        return False

    def work() -> None:
        try:
            _run(run, resume, new_course, verbose, hand_over)
        except BaseException as error:  # comes up in the loop
            failure.append(error)
        hand_over(None)

    thread = threading.Thread(target=work, name="fcc-train")
    thread.start()
    try:
        while (line := lines.get()) is not None:
            yield json.loads(line)
    finally:
        is_left.set()
        run.stop()
        thread.join()
        if failure:
            raise failure[0]
