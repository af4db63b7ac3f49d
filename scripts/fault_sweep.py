#!/usr/bin/env python3
"""Fails file operations of fcc-train and fcc-data, one at a time, and looks at what is left.

Each trial lets one operation of a tiny run fail (EIO, ENOSPC, EINTR), be cut short, or be the last
one before or after which the process is killed; or takes a feature of the file system away for the
whole run (locks, exchanging names, syncing folders, threads), which it must do without, or refuse
(everything without locks, training without threads). Then:

- the run ended by itself: with 0 and everything written, or with 1 and a reason;
- started again without faults (after a kill: and another one at the same place) it goes on at the last checkpoint that was called saved, or later,
  and ends in the bits of a run that nothing happened to;
- no file is left that such a run does not leave.

usage: scripts/fault_sweep.py [--build FOLDER] [--sample N] [--seed N] [--jobs N] [--only WORD]

Without --sample every operation of every run meets every fault: hours. Needs the build's tests.
"""
import argparse
import concurrent.futures
import errno
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS = 120  # far beyond what a run takes: who needs them is in a loop

CONFIG = {
    "model": {"config": {
        "vocab_size": 61, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4,
        "fcc": {"arch": "condensation", "segment_length": 14}}},
    "data": {
        "tokenizer": {"type": "words", "path": str(ROOT / "configs/passkey_vocabulary.txt")},
        "train": [{"type": "passkey", "digits": 2}],
        "validation": []},
    "train": {"seed": 7, "batch_size": 2, "threads": 1, "validate_every": 0,
              "stages": [{"steps": 5, "segments": 2}]},
    "optim": {"lr": 1e-2, "warmup_steps": 2},
    "engine": {"device": "cpu"},
    "log": {"every": 1, "tensorboard": True},
}

# Which faults an operation can meet. `close`, for one, may fail and never be interrupted.
ERRORS = {"EIO": None, "ENOSPC": {"open", "write", "pwrite", "fsync", "mkdir", "rename",
                                  "renameat2", "link", "ftruncate", "close"},
          "EINTR": {"open", "read", "pread", "write", "pwrite", "fsync", "ftruncate", "flock"}}
SHORT = {"read", "pread", "write", "pwrite"}
CHANGES = {"open", "write", "pwrite", "fsync", "fsync_folder", "rename", "renameat2", "link",
           "unlink", "unlinkat", "remove", "rmdir", "mkdir", "ftruncate", "flock"}
# Cleaning up that fails leaves what it would have removed until the next run.
CLEANING = {"unlink", "unlinkat", "remove", "rmdir", "opendir", "open_folder", "lstat", "stat"}

# What file systems and full machines lack, for a whole run.
LACKING = [("flock", errno.ENOSYS), ("flock", errno.ENOLCK), ("renameat2", errno.EINVAL),
           ("renameat2", errno.ENOSYS), ("fsync_folder", errno.EINVAL), ("pthread_create", errno.EAGAIN)]


class Failure(Exception):
    pass


def content(folder, names):
    """The bytes of files below a folder, by name."""
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def listing(folder):
    """All names below a folder; TensorBoard's hold the time."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "tfevents" not in path.name)


class Train:
    """Five steps, a checkpoint every two, the last one, and the final model."""

    saved = re.compile(r"checkpoint (\S*/step-(\d+))$", re.M)
    result = ["checkpoints/step-00000005/manifest.json", "final/manifest.json"]

    def __init__(self, build, background):
        self.name = "train-background" if background else "train"
        self.program = build / "bin/fcc-train"
        self.config = dict(CONFIG, checkpoint={
            "every": 2, "keep_last": 2, "in_background": background, "stop_on_error": True})

    def command(self, folder, again):
        path = folder / "config.json"
        path.write_text(json.dumps(dict(self.config, output=str(folder / "out/run"))))
        return [self.program, "--config", path] + (["--resume", "auto"] if again else [])

    def called_saved(self, output):
        """The last checkpoint of which the run said that it is there."""
        steps = [int(step) for _, step in self.saved.findall(output)]
        return f"step-{max(steps):08d}" if steps else None

    def went_on(self, wanted, output):
        if wanted is None:
            return True
        found = re.search(r"going on from \S*(step-\d+)", output)
        return found is not None and found.group(1) >= wanted


class Data:
    """Two texts in many pieces, with points to go on from, duplicates and a share held out."""

    name = "data"
    result = ["tokens", "held"]

    def __init__(self, build):
        self.program = build / "bin/fcc-data"

    def command(self, folder, again):
        corpus = folder / "corpus"
        if not corpus.exists():
            corpus.mkdir()
            for i in range(3):
                lines = "".join(f"Text {i} {k % 17} of a small corpus.\n" for k in range(40))
                (corpus / f"{i}.txt").write_text(lines)
                os.utime(corpus / f"{i}.txt", (1, 1))
        return [self.program, "tokenize", corpus, "--split-documents", "\\n", "--sync-bytes", "1",
                "--dedup", "--shuffle-seed", "5", "--holdout", folder / "out/held",
                "--holdout-share", "0.1", "--threads", "2", "-o", folder / "out/tokens"] + (
                    ["--overwrite"] if again else [])

    def called_saved(self, output):
        return None

    def went_on(self, wanted, output):
        return True


def start(scenario, folder, shim=None, again=False, **fault):
    """Runs a scenario's program; its exit code (minus a signal) and what it said."""
    (folder / "out").mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    if shim:
        environment.update(LD_PRELOAD=str(shim), FCC_FAULT_UNDER=str(folder / "out"),
                           **{f"FCC_FAULT_{key.upper()}": str(value) for key, value in fault.items()})
    try:
        done = subprocess.run(scenario.command(folder, again), env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
                              errors="replace")
    except subprocess.TimeoutExpired:
        raise Failure(f"is not over after {SECONDS} s")
    return done.returncode, done.stdout


def check_whole(folder, scenario, whole, what):
    got = content(folder / "out" / ("run" if scenario.name != "data" else ""), scenario.result)
    for name in scenario.result:
        if name not in got:
            raise Failure(f"{what}: {name} is missing")
        if got[name] != whole["content"][name]:
            raise Failure(f"{what}: {name} differs from the undisturbed run's")


def check_listing(folder, whole, what):
    # A checkpoint that the disturbed run would have removed next may stay; it is whole.
    extra = {name for name in set(listing(folder / "out")) - set(whole["listing"])
             if not name.startswith("run/checkpoints/step-")}
    if extra:
        raise Failure(f"{what}: left {', '.join(sorted(extra)[:4])}")


def trial(scenario, shim, whole, fault, call):
    """One fault from a fresh folder on. Raises `Failure`."""
    with tempfile.TemporaryDirectory(prefix="fcc-fault-") as name:
        folder = pathlib.Path(name)
        kills = fault["kind"].startswith("kill")
        wanted = None
        # A killed run is killed once more where it has gone on: what was done twice may differ.
        for turn in range(2 if kills else 1):
            code, output = start(scenario, folder, shim, again=turn > 0, **fault)
            if code not in ((-signal.SIGKILL, 0) if kills else (0, 1)):
                raise Failure(f"exit code {code}: {output[-400:]}")
            if code == 1 and ": error: " not in output:
                raise Failure(f"exit code 1 without a reason: {output[-400:]}")
            is_lacking = fault["to"] > fault["from"]
            may_refuse = call == "flock" or (call == "pthread_create" and scenario.name != "data")
            if code != 0 and is_lacking and not may_refuse:
                raise Failure(f"cannot do without: {output[-400:]}")
            if code == 0:
                check_whole(folder, scenario, whole, "exit code 0")
            if not kills and call not in CLEANING:
                leftovers = [name for name in listing(folder / "out") if ".tmp-" in name]
                if leftovers:
                    raise Failure(f"exit code {code}: left {leftovers[0]}: {output[-300:]}")
            wanted = max(filter(None, (wanted, scenario.called_saved(output))), default=None)
        code, again = start(scenario, folder, again=True)
        if code != 0:
            raise Failure(f"started again: exit code {code}: {again[-400:]}")
        if not scenario.went_on(wanted, again):
            raise Failure(f"started again: not from {wanted}, which was called saved: {again[:400]}")
        check_whole(folder, scenario, whole, "started again")
        check_listing(folder, whole, "started again")


def trials_of(scenario, shim):
    """What an undisturbed run leaves, and all the faults its operations can meet."""
    with tempfile.TemporaryDirectory(prefix="fcc-fault-") as name:
        folder = pathlib.Path(name)
        trace = folder / "trace"
        code, output = start(scenario, folder, shim, trace=trace)
        if code != 0:
            sys.exit(f"{scenario.name}: an undisturbed run ends with {code}: {output}")
        calls = [line.split(" ", 1)[0] for line in trace.read_text().splitlines()]
        run = folder / "out" / ("run" if scenario.name != "data" else "")
        # What a second start of a finished run leaves, too.
        whole = {"content": content(run, scenario.result), "listing": listing(folder / "out")}
    trials = []
    for number, call in enumerate(calls, start=1):
        kinds = [f"errno:{getattr(errno, error)}" for error, met in ERRORS.items()
                 if met is None or call in met]
        kinds += ["short"] if call in SHORT else []
        kinds += ["kill-before", "kill-after"] if call in CHANGES else []
        # By call and its own number: threads may change the order of all, hardly of one kind.
        of_kind = calls[:number].count(call)
        trials += [(call, {"calls": call, "from": of_kind, "to": of_kind, "kind": kind}) for kind in kinds]
    lacking = [(call, {"calls": call, "from": 1, "to": 10**9, "kind": f"errno:{number}"})
               for call, number in LACKING]
    return whole, lacking, trials


def sampled(trials, size, draw):
    """`size` of the trials, every operation's turn."""
    by_call = {}
    for one in trials:
        by_call.setdefault(one[0], []).append(one)
    for group in by_call.values():
        draw.shuffle(group)
    chosen = []
    while len(chosen) < size and any(by_call.values()):
        for group in by_call.values():
            if group and len(chosen) < size:
                chosen.append(group.pop())
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--sample", type=int, help="as many trials of each run (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", help="train, train-background or data")
    options = parser.parse_args()
    shim = options.build.resolve() / "tests/libfcc_fault_shim.so"
    draw = random.Random(options.seed)
    failures = total = 0
    for scenario in (Train(options.build, False), Train(options.build, True), Data(options.build)):
        if options.only not in (None, scenario.name):
            continue
        whole, lacking, trials = trials_of(scenario, shim)
        chosen = lacking + trials
        if options.sample is not None:
            chosen = sampled(lacking, options.sample // 3, draw)
            chosen += sampled(trials, options.sample - len(chosen), draw)
        total += len(chosen)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            running = {pool.submit(trial, scenario, shim, whole, fault, call): fault
                       for call, fault in chosen}
            for done in concurrent.futures.as_completed(running):
                if isinstance(done.exception(), Failure):
                    failures += 1
                    fault = running[done]
                    where = "at all" if fault["to"] > fault["from"] else f"at {fault['from']}"
                    print(f"{scenario.name}: {fault['calls']} {fault['kind']} {where}: {done.exception()}", flush=True)
                elif done.exception():
                    raise done.exception()
        print(f"{scenario.name}: {len(trials)} faults of one operation, {len(lacking)} of a whole "
              f"run; {len(chosen)} tried", flush=True)
    print(f"{total} faults, {failures} with another outcome than there should be")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
