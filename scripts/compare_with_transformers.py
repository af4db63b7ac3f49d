#!/usr/bin/env python3
"""Compares a model directory under libfcc with the same directory under Hugging Face transformers, in float32.

    scripts/compare_with_transformers.py MODEL... [--build build/cpu] [--lengths 1,17,500] [--tokens 200]

MODEL: a plain Llama, or a model with segments and memory (its code is written beside a copy, as
`fcc-convert convert --remote-code` does). Compared are

  logits   of random tokens, at each length: the largest difference
  loss     of the same tokens
  chat     an answer in the tokenizer's chat template, where there is one
  greedy   --tokens tokens after a text, without stopping at an end token, and with (0: logits and loss only)
  batch    prompts of unequal lengths, padded on the left, against each alone (models with memory)
  state    saved here and continued by fcc-generate, and the other way round (models with memory)

Needs torch, transformers (4.57 or later) and safetensors, and the programs fcc-convert, fcc-generate and
fcc_logits of the build. Exits 1 where logits differ by more than --tolerance or anything else by more than 1e-6.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

PROMPT = "The memory of a segment is what each layer left behind for the one before it. "


class Comparison:
    def __init__(self, directory, options, folder):
        self.options, self.folder, self.failed = options, folder, False
        self.directory = str(folder / "model")  # a copy: its end tokens are changed on the way
        self.has_memory = bool(json.loads(pathlib.Path(directory, "config.json").read_text()).get("fcc"))
        self.program("fcc-convert", "convert", directory, self.directory,
                     *(["--remote-code"] if self.has_memory else []))
        self.model = AutoModelForCausalLM.from_pretrained(
            self.directory, trust_remote_code=self.has_memory, dtype=torch.float32).eval()

    def program(self, name, *arguments):
        path = pathlib.Path(self.options.build) / ("bin" if "-" in name else "tests") / name
        result = subprocess.run([path, *map(str, arguments)], capture_output=True)
        if result.returncode != 0:
            sys.exit(f"{name}: {result.stderr.decode()}")
        return result.stdout

    def say(self, what, good, text):
        self.failed |= not good
        print(f"  {'ok    ' if good else 'DIFFER'} {what}: {text}", flush=True)

    def logits(self, length):
        vocabulary = self.model.config.vocab_size
        ids = torch.randint(0, vocabulary, (1, length), generator=torch.Generator().manual_seed(length))
        save_file({"ids": ids}, self.folder / "ids")
        self.program("fcc_logits", self.directory, self.folder / "ids", self.folder / "logits")
        ours = load_file(self.folder / "logits")
        output = self.model(input_ids=ids, labels=ids if length > 1 else None)
        worst = (output.logits - ours["logits"]).abs().max().item()
        self.say(f"logits of {length} tokens", worst < self.options.tolerance, f"{worst:.1e}")
        if length > 1:
            difference = abs(output.loss.item() - ours["loss"].item())
            self.say(f"loss of {length} tokens", difference < 1e-6 * max(1, output.loss.item()), f"{difference:.1e}")

    def continued(self, ids, count, **options):
        out = self.model.generate(ids, max_new_tokens=count, do_sample=False, pad_token_id=0,
                                  attention_mask=torch.ones_like(ids), **options)
        return out[0, ids.shape[1] :].tolist()

    def libfcc(self, *arguments):
        out = self.program("fcc-generate", "--model", self.directory, "--temperature", 0, "--dtype", "float32",
                           "--hide-prompt", "--quiet", *arguments)
        # Bytes that are no UTF-8 are replaced in what transformers decode.
        return out.decode(errors="replace").encode() if pathlib.Path(self.directory, "tokenizer.json").exists() else out

    def ids_of(self, text):
        if not pathlib.Path(self.directory, "tokenizer.json").exists():  # bytes
            return torch.tensor([list(text.encode())])
        from transformers import AutoTokenizer
        return AutoTokenizer.from_pretrained(self.directory)(text, return_tensors="pt")["input_ids"]

    def bytes_of(self, ids):
        if not pathlib.Path(self.directory, "tokenizer.json").exists():
            return bytes(i for i in ids if i < 256)
        from transformers import AutoTokenizer
        return AutoTokenizer.from_pretrained(self.directory).decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False).encode()

    def greedy(self, ids):
        count, end = self.options.tokens, self.model.generation_config.eos_token_id
        theirs = self.continued(ids, count, eos_token_id=None)
        ours = self.libfcc("--prompt", PROMPT, "--max-tokens", count, "--ignore-eos")
        self.say(f"{len(theirs)} greedy tokens", ours.rstrip(b"\n") == self.bytes_of(theirs).rstrip(b"\n"), repr(ours[:40]))
        # With the end where the likeliest token stands 20 tokens on, so that there is one to stop at.
        name, path = "generation_config.json", pathlib.Path(self.directory)
        if not path.joinpath("tokenizer.json").exists():
            return  # the bytes tokenizer has ends of its own
        file = path.joinpath(name)
        kept = file.read_text() if file.exists() else None
        path.joinpath("manifest.json").unlink(missing_ok=True)
        chosen = next((t for t in theirs[20:] if t not in theirs[:20]), None)
        if chosen is not None:
            ends = [*(end if isinstance(end, list) else [end]), chosen]
            file.write_text(json.dumps({"eos_token_id": ends}))
            stopped = self.continued(ids, count, eos_token_id=ends)[:-1]
            ours = self.libfcc("--prompt", PROMPT, "--max-tokens", count)
            self.say(f"stops after {len(stopped)} tokens", ours.rstrip(b"\n") == self.bytes_of(stopped).rstrip(b"\n"), "at an end token")
            file.write_text(kept) if kept is not None else file.unlink()

    def chat(self):
        """A question in the tokenizer's chat template, answered to its end or for 60 tokens."""
        if not pathlib.Path(self.directory, "tokenizer.json").exists():
            return
        from transformers import AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(self.directory)
        if not tokenizer.chat_template:
            return
        question, count = "What is the capital of France?", 60
        ids = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True,
                                            return_tensors="pt", return_dict=True)["input_ids"]
        theirs = self.continued(ids, count, eos_token_id=self.model.generation_config.eos_token_id)
        ours = self.libfcc("--chat", "--prompt", question, "--max-tokens", count)
        self.say(f"answer of a chat, {len(theirs)} tokens",
                 ours.rstrip(b"\n") == self.bytes_of(theirs).rstrip(b"\n"), repr(ours[:60]))

    def batch(self, ids):
        lengths = [ids.shape[1], 1, 5, ids.shape[1] // 2]
        rows = torch.zeros(len(lengths), ids.shape[1], dtype=torch.long)
        mask = torch.zeros_like(rows)
        for row, length in enumerate(lengths):
            rows[row, -length:], mask[row, -length:] = ids[0, :length], 1
        together = self.model.generate(rows, attention_mask=mask, max_new_tokens=self.options.tokens, do_sample=False,
                                       eos_token_id=None, pad_token_id=0)[:, ids.shape[1] :].tolist()
        alone = [self.continued(ids[:, :length], self.options.tokens, eos_token_id=None) for length in lengths]
        self.say(f"batch of prompts of {lengths} tokens", together == alone, "as each alone")

    def state(self, ids):
        count = self.options.tokens
        whole = self.continued(ids, 2 * count, eos_token_id=None)
        state = self.model.new_state()
        first = self.continued(ids, count, eos_token_id=None, state=state)
        self.model(torch.tensor([first[-1:]]), state=state)
        self.model.save_state(state, self.folder / "here")
        ours = self.libfcc("--load-state", self.folder / "here", "--max-tokens", count, "--ignore-eos")
        self.say("state of transformers in libfcc", ours.rstrip(b"\n") == self.bytes_of(whole[count:]).rstrip(b"\n"), "goes on alike")
        self.libfcc("--prompt", PROMPT, "--max-tokens", count, "--ignore-eos", "--save-state", self.folder / "there")
        state = self.model.load_state(self.folder / "there")
        next_id = self.model.next_logits(state).argmax(-1, keepdim=True) if state.last_hidden is not None else None
        if next_id is not None:
            rest = [next_id.item(), *self.continued(next_id, count - 1, eos_token_id=None, state=state)]
            self.say("state of libfcc in transformers", rest == whole[count:], "goes on alike")


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--build", default="build/cpu")
    parser.add_argument("--lengths", default="1,17,500")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    options = parser.parse_args()
    failed = False
    for directory in options.models:
        print(directory, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            comparison = Comparison(pathlib.Path(directory), options, pathlib.Path(folder))
            for length in map(int, options.lengths.split(",")):
                comparison.logits(length)
            ids = comparison.ids_of(PROMPT)
            if options.tokens > 0:
                comparison.greedy(ids)
                comparison.chat()
            if options.tokens > 0 and comparison.has_memory:
                comparison.batch(ids)
                comparison.state(ids)
            failed |= comparison.failed
    sys.exit(1 if failed else 0)


main()
