#!/usr/bin/env python3
"""Checks who includes whom: dependencies between the folders run one way.

usage: scripts/check_includes.py [ROOT]

Prints each offending line and exits with 1. The order is that of src/README.md.
"""

import pathlib
import re
import sys

MAY_INCLUDE = {
    "core": set(),
    "config": {"core"},
    "io": {"core"},
    "text": {"core", "config", "io"},
    "data": {"core", "config", "io", "text"},
    "ops": {"core", "config"},
    "model": {"core", "config", "io", "ops"},
    "engine": {"core", "config", "ops", "model"},
    "dist": {"core"},
    "optim": {"core", "config", "ops", "model"},
    "train": {"core", "config", "io", "text", "data", "ops", "model", "engine", "dist", "optim"},
    "generate": {"core", "config", "io", "text", "ops", "model", "engine"},
    "plot": {"core"},
    "eval": {"core", "config", "io", "text", "data", "ops", "model", "engine", "generate", "plot"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"(?:fcc/)?([a-z_]+)/')
KERNELS = re.compile(r'^\s*#\s*include\s+"(?:kernels/|memory_attention/|elementwise/|common/(?:hopper|wgmma|tensor_map))')


def offences(root: pathlib.Path):
    for base in (root / "include/fcc", root / "src"):
        for path in sorted(base.rglob("*")):
            if path.suffix not in {".h", ".cpp", ".cu", ".cuh"}:
                continue
            module = path.relative_to(base).parts[0]
            if module == "fcc.h":  # all of them in one
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                found = INCLUDE.match(line)
                other = found.group(1) if found else None
                if other in MAY_INCLUDE and other != module and other not in MAY_INCLUDE.get(module, set()):
                    yield f"{path}:{number}: {module} may not include {other}"
                if base.name == "fcc" and found and not line.split('"')[1].startswith("fcc/"):
                    yield f"{path}:{number}: a public header may not include an internal one"
                if KERNELS.match(line) and module != "ops":
                    yield f"{path}:{number}: only ops may include kernels"
                if "torch/torch.h" in line:
                    yield f"{path}:{number}: include narrow torch headers, not torch/torch.h"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    found = list(offences(root))
    print("\n".join(found) if found else "include order: ok")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
