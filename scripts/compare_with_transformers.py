#!/usr/bin/env python3
"""Compares a model directory under libfcc with the same directory under Hugging Face transformers:
greedy continuations token by token, in float32 and with full attention.

usage: scripts/compare_with_transformers.py MODEL [--build build/cpu] [--tokens 200] [--prompt TEXT]...

MODEL is a plain Llama's directory (fcc-convert ... --fcc none). Needs torch and transformers.
Exits with 1 where the texts differ.
"""

import argparse
import subprocess
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = [
    "The",
    "The capital of France is",
    "Once upon a time there was a king who had three daughters, and the youngest of them",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--build", default="build/cpu")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--prompt", action="append")
    arguments = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).eval()
    differ = 0
    for prompt in arguments.prompt or PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt")
        with torch.no_grad():
            out = model.generate(**ids, max_new_tokens=arguments.tokens, do_sample=False,
                                 eos_token_id=None)
        new = out[0, ids["input_ids"].shape[1] :]
        theirs = tokenizer.decode(new, skip_special_tokens=True)
        ours = subprocess.run(
            [f"{arguments.build}/bin/fcc-generate", "--model", arguments.model, "--prompt", prompt,
             "--temperature", "0", "--max-tokens", str(arguments.tokens), "--dtype", "float32", "--hide-prompt",
             "--ignore-eos"],
            check=True, capture_output=True, text=True).stdout
        same = ours.strip() == theirs.strip()
        differ += not same
        print(f"{'equal ' if same else 'DIFFER'}  {len(new)} tokens after {ids['input_ids'].shape[1]}: {prompt!r}")
        if not same:
            print(f"  transformers: {theirs!r}\n  libfcc:       {ours!r}")
    sys.exit(1 if differ else 0)


main()
