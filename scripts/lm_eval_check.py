#!/usr/bin/env python3
"""Compares lm-eval's `hf` backend on an exported model with fcc-eval and fcc-generate, on tasks made here.

    pip install lm_eval
    scripts/lm_eval_check.py MODEL [--build build/cpu]

MODEL: a directory with segments and memory, a tokenizer.json of as many tokens as the model has, and a tokenizer_config.json. Three tasks of a few examples are written, which
need no network: multiple choice (the likeliest of three endings), the perplexity of texts (loglikelihood_rolling) and
texts that are generated until a full stop. Each is computed again by this project's own programs. Exits 1 where
they differ, and with 77 where lm_eval is missing.
"""

import argparse
import importlib.util
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

CHOICES = [
    {"question": "The memory of a segment is", "choices": [" what each layer left.", " a cat.", " 7 7 7"], "gold": 0},
    {"question": "It was the best of", "choices": [" times", " all, but not", " segments."], "gold": 0},
    {"question": "One two three", "choices": [" five", " four", " and then there were none at all"], "gold": 1},
    {"question": "def f(x):\n", "choices": ["    return x", "return", " pass"], "gold": 0},
]
TEXTS = ["A text of some length, which goes on beyond one segment of a small model. " * 3, "Short.",
         "It is a truth universally acknowledged, that a single man in possession of a good fortune"]
STARTS = ["Once upon a time", "The end of", "In the beginning there was"]
TASKS = {
    "fcc_choice": """output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: gold
target_delimiter: ""
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
""",
    "fcc_texts": """output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: byte_perplexity}]
""",
    "fcc_generate": """output_type: generate_until
doc_to_text: "{{start}}"
doc_to_target: "x"
generation_kwargs: {until: ["."], max_gen_toks: 24, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
}
ROWS = {"fcc_choice": CHOICES, "fcc_texts": [{"text": text} for text in TEXTS],
        "fcc_generate": [{"start": start} for start in STARTS]}


def lm_eval_samples(model, folder):
    for name, yaml in TASKS.items():
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in ROWS[name]))
        (folder / f"{name}.yaml").write_text(
            f"task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n" + yaml)
    arguments = [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args",
                 f"pretrained={model},trust_remote_code=True,dtype=float32", "--device", "cpu", "--batch_size", "2",
                 "--tasks", ",".join(TASKS), "--include_path", str(folder), "--log_samples",
                 "--output_path", str(folder / "out")]
    done = subprocess.run(arguments, env=dict(os.environ, HF_HOME=str(folder / "hf")), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(done.stdout)
    samples = {}
    for name in TASKS:
        (file,) = (folder / "out").rglob(f"samples_{name}_*.jsonl")
        samples[name] = sorted(map(json.loads, file.read_text().splitlines()), key=lambda row: row["doc_id"])
    return samples


class Direct:
    """The same by fcc_logits and fcc-generate."""

    def __init__(self, model, build, folder):
        from transformers import AutoTokenizer

        self.model, self.build, self.folder = model, build, folder
        self.tokenizer = AutoTokenizer.from_pretrained(model)

    def ids(self, text):
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def log_probability(self, before, ids):
        """Of `ids` behind `before`."""
        import torch
        from safetensors.torch import load_file, save_file

        all_ids = torch.tensor([[*before, *ids]])
        save_file({"ids": all_ids}, self.folder / "ids")
        subprocess.run([self.build / "tests/fcc_logits", self.model, self.folder / "ids", self.folder / "logits"],
                       check=True)
        scores = load_file(self.folder / "logits")["logits"][0].double().log_softmax(-1)
        return sum(scores[i - 1, all_ids[0, i]].item() for i in range(len(before), len(before) + len(ids)))

    def generated(self, start):
        done = subprocess.run([self.build / "bin/fcc-generate", "--model", self.model, "--prompt", start, "--hide-prompt",
                               "--quiet", "--temperature", "0", "--dtype", "float32", "--max-tokens", "24"],
                              check=True, capture_output=True)
        return done.stdout.decode(errors="replace").removesuffix("\n").split(".")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/cpu"))
    arguments = parser.parse_args()
    if importlib.util.find_spec("lm_eval") is None:
        print("lm_eval is missing: pip install lm_eval")
        return 77
    build = arguments.build.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        model = folder / "model"
        subprocess.run([build / "bin/fcc-convert", "convert", arguments.model, model, "--remote-code"], check=True)
        samples = lm_eval_samples(model, folder)
        direct = Direct(model, build, folder)
        worst, failed = 0.0, []
        for row, example in zip(samples["fcc_choice"], CHOICES, strict=True):
            # As lm-eval cuts the context from what follows: white space at its end belongs to the latter.
            before = direct.ids(example["question"].rstrip())
            for found, choice in zip(row["filtered_resps"], example["choices"], strict=True):
                whole = direct.ids(example["question"] + choice)
                expected = direct.log_probability(before, whole[len(before):])
                worst = max(worst, abs(float(found[0]) - expected))
        print(f"multiple choice: {sum(len(c['choices']) for c in CHOICES)} log-probabilities, largest difference {worst:.1e}")
        begin = [direct.tokenizer.bos_token_id if direct.tokenizer.bos_token_id is not None
                 else direct.tokenizer.eos_token_id]  # lm-eval's beginning of a text
        for row, text in zip(samples["fcc_texts"], TEXTS, strict=True):
            found = row["filtered_resps"][0]
            found = float(found[0] if isinstance(found, list) else found)
            difference = abs(found - direct.log_probability(begin, direct.ids(text)))
            worst = max(worst, difference / max(1.0, len(text) / 100))
        print(f"perplexity: {len(TEXTS)} texts, largest difference so far {worst:.1e}")
        for row, start in zip(samples["fcc_generate"], STARTS, strict=True):
            found, expected = row["filtered_resps"][0], direct.generated(start)
            if found != expected:
                failed.append(f"{found!r} instead of {expected!r}")
        print(f"generation: {len(STARTS) - len(failed)} of {len(STARTS)} texts equal", *failed, sep="\n  ")
    return 1 if failed or worst > 1e-3 or math.isnan(worst) else 0


if __name__ == "__main__":
    sys.exit(main())
