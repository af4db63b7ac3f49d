#!/usr/bin/env python3
"""Runs the shell and Python blocks of documentation pages, so that what the pages say works.

    scripts/run_snippets.py README.md docs/generate.md [--build build/cpu] [--list]

Every block marked ```sh, ```bash or ```python is run, in the order of the page, in an empty folder with
links to configs/, scripts/, tests/ and docs/, where build/cpu/bin and build/release/bin are the
build's programs, which are on the PATH too. tests/docs/PAGE.sh, where there is one, runs first: it
makes the small data that the page speaks of, or exits with 77 after a line that says what is not there.
Shell blocks end at the first command that fails; the Python blocks of a page share one interpreter: FCC_PYTHON, or
the one with transformers that scripts/setup.sh has made, or the one that runs this. It finds the build's package fcc.

A block that cannot run here has a comment before it that says why:

    <!-- not run: it needs a GPU -->

Exits 1 where a block fails, 2 where a comment has no block or no reason or commands are but indented, 77 where nothing ran for want of what
a page needs. --list prints the blocks.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LANGUAGES = {"sh": "shell", "bash": "shell", "python": "python"}
SKIPPED = 77
INDENTED = re.compile(r"^ {4}(fcc-[a-z]+ |(scripts|build)/|(cmake|ctest|docker|git|pip|python3?) )")
NOT_RUN = re.compile(r"^<!--\s*not run:(.*?)-->\s*$")
DONE = "the block has ended: "
INTERPRETER = f"""
import sys, traceback
names = {{"__name__": "__main__"}}
while True:
    size = sys.stdin.buffer.readline()
    if not size:
        break
    code = sys.stdin.buffer.read(int(size)).decode()
    try:
        exec(compile(code, "<block>", "exec"), names)
        failed = 0
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        failed = 1
    print("\\n" + {DONE!r} + str(failed), flush=True)
"""


def blocks_of(page):
    """(line, language, code, reason not to run or None) of each block."""
    found, fence, reason, reason_line = [], None, None, 0
    for number, line in enumerate(page.read_text(encoding="utf-8").split("\n"), 1):
        if fence is not None:
            if line.strip() == "```":
                if fence[1] is not None:
                    found.append((fence[0], fence[1], "\n".join(fence[2]) + "\n", reason))
                    reason = None
                fence = None
            else:
                fence[2].append(line)
            continue
        comment = NOT_RUN.match(line)
        if comment:
            reason, reason_line = comment.group(1).strip(), number
            if not reason:
                sys.exit(f"{page}:{number}: must give a reason")
        elif line.startswith("```"):
            fence = (number, LANGUAGES.get(line[3:].strip()), [])
        elif INDENTED.match(line):
            print(f"{page}:{number}: commands must stand in a block that is marked sh", file=sys.stderr)
            sys.exit(2)
        elif line.strip() and reason is not None:
            print(f"{page}:{reason_line}: must stand before a block", file=sys.stderr)
            sys.exit(2)
    return found


def python():
    """The interpreter of Python blocks."""
    cache = pathlib.Path(os.environ.get("FCC_CACHE", pathlib.Path.home() / ".cache/libfcc"))
    with_transformers = cache / "transformers-1/python"
    return os.environ.get("FCC_PYTHON") or (str(with_transformers) if with_transformers.exists() else sys.executable)


class Page:
    """A folder in which the blocks of a page run."""

    def __init__(self, folder, build):
        self.folder = pathlib.Path(folder)
        programs = (build / "bin").resolve()
        for name in ("configs", "scripts", "tests", "docs"):
            (self.folder / name).symlink_to(ROOT / name)
        shims = self.folder / "build/cpu/bin"
        shims.mkdir(parents=True)
        (self.folder / "build/release").symlink_to("cpu")
        for program in programs.iterdir():
            (shims / program.name).symlink_to(program)
        self.environment = dict(os.environ, PATH=f"{shims}:{os.environ['PATH']}", FCC_PROGRAMS=str(programs),
                                FCC_PYTHON=python(), HF_MODULES_CACHE=str(self.folder / "modules"))
        if (build / "python/fcc").is_dir():
            paths = [str((build / "python").resolve()), os.environ.get("PYTHONPATH")]
            self.environment["PYTHONPATH"] = ":".join(filter(None, paths))
        self.interpreter = None

    def prepare(self, script):
        """Whether the blocks can be run; 77 says that something which they need is not there."""
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script.read_text()], cwd=self.folder,
                              env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode == SKIPPED:
            lines = done.stdout.decode(errors="replace").strip().split("\n")
            print(f"  not run  {script.name}: {lines[-1] or 'it does not say why'}")
        elif done.returncode != 0:
            sys.exit(f"{script}: failed\n{done.stdout.decode(errors='replace')}")
        return done.returncode == 0

    def shell(self, code):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", code], cwd=self.folder, env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode == 0, done.stdout.decode(errors="replace")

    def python(self, code):
        if self.interpreter is None:
            self.interpreter = subprocess.Popen(
                [self.environment["FCC_PYTHON"], "-c", INTERPRETER], cwd=self.folder,
                env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        data = code.encode()
        self.interpreter.stdin.write(b"%d\n" % len(data) + data)
        self.interpreter.stdin.flush()
        output = []
        for line in self.interpreter.stdout:
            text = line.decode(errors="replace")
            if text.startswith(DONE):
                return text.strip() == DONE + "0", "".join(output)
            output.append(text)
        return False, "".join(output)

    def close(self):
        if self.interpreter is not None:
            self.interpreter.stdin.close()
            self.interpreter.wait()


def run_page(page, build):
    """How many blocks failed; None where what the page needs is not there."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Page(folder, build)
        prepare = ROOT / "tests/docs" / (page.stem + ".sh")
        if prepare.exists() and not place.prepare(prepare):
            return None
        for line, language, code, reason in blocks_of(page):
            if reason is not None:
                print(f"  not run  {page.name}:{line}: {reason}")
                continue
            start = time.monotonic()
            good, output = getattr(place, language)(code)
            print(f"  {'ok      ' if good else 'FAILED  '} {page.name}:{line}: {time.monotonic() - start:.1f} s", flush=True)
            if not good:
                failed += 1
                print(code + "---\n" + output)
        place.close()
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="+", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/cpu")
    parser.add_argument("--list", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    if arguments.list:
        for page in arguments.pages:
            for line, language, _, reason in blocks_of(page):
                print(f"{page}:{line}: {language}" + (f", not run: {reason}" if reason else ""))
        return 0
    failed = [run_page(page.resolve(), arguments.build) for page in arguments.pages]
    if any(failed):
        return 1
    return SKIPPED if all(count is None for count in failed) else 0


if __name__ == "__main__":
    sys.exit(main())
