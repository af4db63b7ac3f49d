"""lm-eval's `hf` backend on an exported model gives what this project's programs compute.

Skipped where the Python of scripts/run_snippets.py (FCC_PYTHON) has no lm_eval, torch and transformers.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from run_snippets import python  # noqa: E402

PYTHON = python()
SETTINGS = {
    "model.config": {"vocab_size": 700, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                     "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16,
                     "fcc": {"arch": "condensation", "segment_length": 64}},
    "data.train": [{"type": "tokens", "path": "tiny.safetensors"}],
    "data.validation": [],
    "train.stages": [{"steps": 2, "segments": 2}],
    "train.batch_size": 2,
    "train.validate_every": 0,
    "train.threads": 1,
    "optim.warmup_steps": 1,
    "output": "run",
}


def main():
    build = pathlib.Path(sys.argv[sys.argv.index("--build") + 1]).resolve()
    probe = subprocess.run([PYTHON, "-c", "import lm_eval, torch, transformers"], capture_output=True)
    if probe.returncode != 0:
        print(f"skipped: {PYTHON} lacks lm_eval, torch or transformers (pip install lm_eval transformers torch)")
        return 77
    tokenizer = ROOT / "tests/text/data/bpe/smollm2"
    with tempfile.TemporaryDirectory() as folder:
        def run(*command):
            done = subprocess.run(list(map(str, command)), cwd=folder, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, env=dict(os.environ, HF_MODULES_CACHE=folder + "/modules"))
            if done.returncode != 0:
                print(done.stdout)
                sys.exit(1)
            return done.stdout

        run(build / "bin/fcc-data", "tokenize", ROOT / "docs/method.md", "--tokenizer", tokenizer, "-o", "tiny.safetensors")
        sets = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={json.dumps(value)}")]
        run(build / "bin/fcc-train", "--config", ROOT / "configs/book.json", *sets,
            "--set", f"data.tokenizer={json.dumps({'path': str(tokenizer)})}")
        pathlib.Path(folder, "run/final/manifest.json").unlink()
        pathlib.Path(folder, "run/final/tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}))
        out = run(PYTHON, ROOT / "scripts/lm_eval_check.py", "run/final", "--build", build)
        print(out)
        for expected in ("multiple choice: 12", "perplexity: 3", "generation: 3 of 3"):
            assert expected in out, out
    return 0


if __name__ == "__main__":
    sys.exit(main())
