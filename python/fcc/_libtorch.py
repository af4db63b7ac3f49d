"""One LibTorch a process: the module fcc._fcc and PyTorch must share it."""

import ctypes
import importlib.util
import pathlib
import sys

from fcc import _build


def _installed_version(folder: pathlib.Path) -> str | None:
    """The version of the torch in `folder`, without importing it."""
    try:
        text = (folder / "version.py").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("__version__"):
            return line.split("=")[1].strip(" '\"").split("+")[0]
    return None


def share_libtorch() -> None:
    """Sees to it that `fcc` and PyTorch use the same LibTorch, whichever is imported first.

    Libraries of one name are loaded once. Where the installed PyTorch has the version that `fcc` was
    built with, its libraries are loaded, so that a later `import torch` finds its own.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        version = str(torch.__version__).split("+")[0]
        if version != _build.TORCH_VERSION:
            raise ImportError(
                f"fcc was built with LibTorch {_build.TORCH_VERSION}, and torch {version} is loaded in "
                f"this process: install torch {_build.TORCH_VERSION}, or import fcc in another process"
            )
        return
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return
    folder = pathlib.Path(found.origin).parent
    libraries = folder / "lib"
    if _installed_version(folder) != _build.TORCH_VERSION:
        return
    if _build.CUDA and not (libraries / "libtorch_cuda.so").exists():
        return
    for name in ("libc10.so", "libtorch_cpu.so"):
        ctypes.CDLL(str(libraries / name))
