"""The page of fcc-eval report in a real browser: one run with pictures and two compared ones, wide and narrow, light and dark.

Skipped where there is no Chromium. FCC_PICTURES, a folder, keeps what was seen.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import browser

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETTINGS = {
    "model.config": {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
                     "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8,
                     "fcc": {"arch": "condensation", "segment_length": 32}},
    "train.batch_size": 2,
    "train.accumulate": 1,
    "train.threads": 1,
    "train.stages": [{"name": "short", "steps": 12, "segments": 3}, {"name": "<long>", "steps": 12, "segments": 4}],
    "train.validate_every": 6,
    "train.validation_batches": 1,
    "train.validation_segments": 4,
    "optim.warmup_steps": 1,
    "checkpoint.every": 24,
    "log.every": 1,
}
# What a page must be at every width and in both schemes.
LAYOUT = """({
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  charts: document.querySelectorAll("#charts figure svg").length,
  drawn: [...document.querySelectorAll("#charts path")].filter((p) => p.getTotalLength() > 0).length,
  narrowest: Math.min(...[...document.querySelectorAll("#charts figure")].map((f) => f.getBoundingClientRect().width)),
  columns: new Set([...document.querySelectorAll("#charts figure")].map((f) => Math.round(f.getBoundingClientRect().left))).size,
  broken: [...document.images].filter((i) => !i.complete || !i.naturalWidth).length,
  images: document.images.length,
  stages: document.querySelectorAll("#stages tr").length,
  settings: document.querySelector("#settings").innerText,
  names: document.querySelector("#names").innerText,
  ink: getComputedStyle(document.body).color,
  back: getComputedStyle(document.body).backgroundColor,
})"""


def luminance(color):
    channels = [int(part) / 255 for part in color[color.index("(") + 1:-1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def main():
    build = pathlib.Path(sys.argv[sys.argv.index("--build") + 1]).resolve()
    program = browser.find()
    if program is None:
        print("skipped: there is no chromium")
        return 77
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)

        def run(name, *arguments):
            done = subprocess.run([build / "bin" / name, *map(str, arguments)], cwd=ROOT, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode != 0:
                sys.exit(f"{name}: {done.stdout}")

        for name, rate in (("one", 1e-3), ("other", 3e-3)):
            sets = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={json.dumps(value)}")]
            run("fcc-train", "--config", ROOT / "configs/quickstart.json", *sets, "--set", f"optim.lr={rate}",
                "--set", f"output={folder / name}")
        (folder / "one/passkey").mkdir()
        shutil.copy(ROOT / "docs/figures/passkey.svg", folder / "one/passkey/heatmap.svg")
        pages = {"single": ["one"], "compared": ["one", "other"]}
        with browser.Browser(program) as shown:
            for page, runs in pages.items():
                path = folder / f"{page}.html"
                run("fcc-eval", "report", *(folder / name for name in runs), "-o", path)
                assert path.stat().st_size <= 1_000_000, path.stat().st_size
                for width in (1280, 375):
                    for dark in (False, True):
                        where = f"{page}, {width} pixels, {'dark' if dark else 'light'}"
                        shown.show(path, width, dark=dark)
                        look = shown.value(LAYOUT)
                        assert shown.messages == [], f"{where}: {shown.messages}"
                        assert look["overflow"] <= 0, f"{where}: {look}"
                        assert look["charts"] >= 6 and look["drawn"] >= look["charts"] * len(runs) - len(runs), f"{where}: {look}"
                        assert look["columns"] == (1 if width == 375 else 3), f"{where}: {look}"
                        assert look["narrowest"] >= min(width - 40, 340), f"{where}: {look}"
                        assert look["images"] == 1 and look["broken"] == 0, f"{where}: {look}"
                        assert look["stages"] == 1 + 2 * len(runs), f"{where}: {look}"
                        assert "24 steps, " in look["names"] and " seconds" in look["names"], f"{where}: {look}"
                        assert contrast(look["ink"], look["back"]) >= 7, f"{where}: {look}"
                        assert (luminance(look["back"]) < 0.2) == dark, f"{where}: {look}"
                        if len(runs) > 1:
                            assert "optim.lr" in look["settings"] and "train.threads" not in look["settings"], where
                        if os.environ.get("FCC_PICTURES"):
                            name = f"{page}_{width}_{'dark' if dark else 'light'}.png"
                            shown.picture(os.path.join(os.environ["FCC_PICTURES"], name))
                    for choice in ("tokens_seen", "hours", "step"):
                        shown.value(f"document.querySelector('input[value={choice}]').click()")
                        assert shown.value(LAYOUT)["charts"] >= 6, choice
                    assert shown.messages == [], shown.messages
    return 0


if __name__ == "__main__":
    sys.exit(main())
