import inspect
import os
import pathlib
import re
import subprocess
import sys
import tarfile

import pytest

import fcc

ROOT = pathlib.Path(__file__).parents[2]


def public_things():
    for name in fcc.__all__:
        thing = getattr(fcc, name)
        yield name, thing
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (callable(value) or hasattr(value, "__get__")):
                    yield f"{name}.{member}", value


def test_everything_public_says_what_it_is():
    silent = [
        name for name, thing in public_things()
        if not isinstance(thing, str) and not (inspect.getdoc(thing) or "").strip()
    ]
    assert silent == []


def test_everything_public_is_used_by_a_test():
    tests = pathlib.Path(__file__).parent
    text = "".join(file.read_text() for file in tests.glob("*.py") if file.name != pathlib.Path(__file__).name)
    untested = [
        name for name, thing in public_things()
        if not re.search(rf"\.{re.escape(name.rsplit('.')[-1])}\b", text) and not isinstance(thing, str)
    ]
    assert untested == []


def test_types_come_with_the_package():
    folder = pathlib.Path(fcc.__file__).parent
    assert (folder / "py.typed").exists()
    stub = (folder / "_fcc.pyi").read_text()
    compile(stub, "_fcc.pyi", "exec")
    for name in ("class Tokenizer", "class State", "def load_tokenizer", "class Stream"):
        assert name in stub


def test_a_torch_of_another_version_is_refused_with_a_reason():
    code = "import sys, types; sys.modules['torch'] = types.SimpleNamespace(__version__='1.0'); import fcc"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert re.search(r"ImportError: fcc was built with LibTorch .*, and torch 1.0 is loaded", done.stderr)


@pytest.mark.parametrize("order", ["import torch, fcc", "import fcc, torch"])
def test_pytorch_and_the_package_share_libtorch(order):
    pytest.importorskip("torch", exc_type=ImportError)
    code = order + """
fcc.load_tokenizer("bytes")
assert torch.ones(3).sum() == 3
maps = open("/proc/self/maps").read()
assert len({line.split()[-1] for line in maps.splitlines() if "libtorch_cpu" in line}) == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_snippets_of_the_documentation_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/python.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(snippets) >= 5
    exec(compile("\n".join(snippets), "docs/python.md", "exec"), {})
    assert "(2, 23, " in capsys.readouterr().out


def test_the_example_runs(trained, tmp_path):
    (tmp_path / "text.txt").write_text("the memory of a token " * 10)
    done = subprocess.run(
        [sys.executable, ROOT / "python/examples/stream.py", trained.model, "text.txt"],
        cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "220 tokens in segments of 5" in done.stdout
    assert "mean of 44 segments: " in done.stdout
    assert (tmp_path / "state.safetensors").exists()


def test_the_source_distribution_holds_what_a_build_needs(tmp_path, monkeypatch):
    build = pytest.importorskip("scikit_build_core.build")
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("no source tree")
    monkeypatch.chdir(ROOT)
    name = build.build_sdist(os.fspath(tmp_path))
    with tarfile.open(tmp_path / name) as archive:
        names = {"/".join(member.name.split("/")[1:]) for member in archive.getmembers()}
    for needed in ("CMakeLists.txt", "LICENSE", "pyproject.toml", "src/CMakeLists.txt", "cmake/FccPython.cmake",
                   "cmake/version.h.in", "include/fcc/core/error.h", "kernels/CMakeLists.txt", "docs/python.md",
                   "python/CMakeLists.txt", "python/src/module.cpp", "python/fcc/_build.py.in",
                   "python/fcc/py.typed", "python/tests/conftest.py", "scripts/setup.sh"):
        assert needed in names
    assert not [name for name in names if name.startswith(("build", "runs"))]
