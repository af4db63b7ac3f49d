"""What docs/transformers.md says of an exported model, tried in transformers.

Skipped where the Python of scripts/run_snippets.py (FCC_PYTHON) has no torch and transformers.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETTINGS = {
    "model.config": {"vocab_size": 258, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                     "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
                     "fcc": {"arch": "condensation", "segment_length": 8}},
    "data.train": [{"type": "tokens", "path": "tiny.safetensors"}],
    "data.validation": [],
    "train.stages": [{"steps": 2, "segments": 2}],
    "train.batch_size": 2,
    "train.validate_every": 0,
    "train.threads": 1,
    "optim.warmup_steps": 1,
    "output": "run",
}


def make_model(build, folder):
    def run(name, *arguments):
        done = subprocess.run([build / "bin" / name, *map(str, arguments)], cwd=folder, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            sys.exit(f"{name}: {done.stdout}")

    run("fcc-data", "tokenize", ROOT / "docs/method.md", "--tokenizer", "bytes", "-o", "tiny.safetensors")
    sets = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    run("fcc-train", "--config", ROOT / "configs/book.json", *sets)
    run("fcc-convert", "convert", "run/final", "model", "--remote-code")
    return folder / "model"


class Exported(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        import torch
        from transformers import AutoModelForCausalLM

        torch.manual_seed(1)
        cls.torch, cls.auto, cls.directory = torch, AutoModelForCausalLM, os.environ["FCC_MODEL"]
        cls.model = cls.load(cls.directory)
        cls.ids = torch.randint(0, 256, (1, 37))

    @classmethod
    def load(cls, directory, **options):
        return cls.auto.from_pretrained(directory, trust_remote_code=True, dtype=cls.torch.float32, **options)

    def near(self, one, other):
        self.assertLess((one - other).abs().max().item(), 1e-4)

    def test_is_no_llama_to_whom_does_not_trust_its_code(self):
        with self.assertRaisesRegex(ValueError, "trust_remote_code|fcc"):
            self.auto.from_pretrained(self.directory, trust_remote_code=False)

    def test_padding_on_either_side_changes_no_row(self):
        alone = self.model(self.ids).logits[0]
        for begin in (0, 13):
            rows = self.torch.randint(0, 256, (2, 50))
            mask = self.torch.ones_like(rows)
            mask[1] = 0
            rows[1, begin:begin + 37], mask[1, begin:begin + 37] = self.ids[0], 1
            self.near(self.model(rows, attention_mask=mask).logits[1, begin:begin + 37], alone)
            if begin == 0:
                with self.assertRaisesRegex(ValueError, "padded on the left"):
                    self.model.generate(rows, attention_mask=mask, max_new_tokens=3, pad_token_id=0)

    def test_a_state_is_forked_and_its_rows_are_picked(self):
        state = self.model.new_state()
        self.model.generate(self.ids, state=state, max_new_tokens=20, do_sample=False, eos_token_id=None, pad_token_id=0)
        copy, rows = state.copy(), state.rows_at([0, 0, 0])
        more = self.torch.tensor([[5, 6]])
        one, three = self.model(more, state=copy).logits, self.model(more.repeat(3, 1), state=rows).logits
        self.near(three, one.expand(3, -1, -1))
        self.near(self.model.next_logits(copy), one[:, -1])
        self.near(self.model(more, state=state).logits, one)  # the copies left it where it was

    def test_a_state_has_the_same_size_after_any_text(self):
        sizes = set()
        for length in (8 * 5, 8 * 50):
            state = self.model.new_state()
            self.model(self.torch.zeros(1, length, dtype=self.torch.long), state=state)
            sizes.add(sum(value.numel() for value in vars(state).values() if self.torch.is_tensor(value)))
        self.assertEqual(len(sizes), 1, sizes)

    def test_what_is_not_there_is_refused_by_name(self):
        embeds = self.torch.zeros(1, 3, 32)
        for arguments in ({"output_attentions": True}, {"output_hidden_states": True}, {"past_key_values": ()}):
            (name,) = arguments
            with self.assertRaisesRegex(ValueError, name):
                self.model(self.ids, **arguments)
            with self.assertRaisesRegex(ValueError, name):
                self.model.generate(self.ids, max_new_tokens=2, return_dict_in_generate=True, **arguments)
        for call in (self.model, self.model.generate):
            with self.assertRaisesRegex(ValueError, "inputs_embeds"):
                call(inputs_embeds=embeds)
        with self.assertRaisesRegex(NotImplementedError, "num_beams"):
            self.model.generate(self.ids, num_beams=2, max_new_tokens=2)
        with self.assertRaisesRegex(ValueError, "assisted"):
            self.model.generate(self.ids, assistant_model=self.model, max_new_tokens=2)

    def test_it_learns_and_is_saved_as_it_was_loaded(self):
        model = self.load(self.directory)
        model(self.ids, labels=self.ids).loss.backward()
        self.assertEqual([name for name, weight in model.named_parameters() if weight.grad is None], [])
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            self.near(self.load(folder)(self.ids).logits, model(self.ids).logits)
            done = subprocess.run([os.environ["FCC_CONVERT"], "check", folder], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)


def main():
    sys.path.insert(0, str(ROOT / "scripts"))
    from run_snippets import python

    build = pathlib.Path(sys.argv[sys.argv.index("--build") + 1]).resolve()
    if subprocess.run([python(), "-c", "import torch, transformers"], capture_output=True).returncode != 0:
        print(f"skipped: {python()} lacks torch or transformers (scripts/setup.sh --cuda --transformers)")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, FCC_MODEL=str(make_model(build, pathlib.Path(folder))),
                           FCC_CONVERT=str(build / "bin/fcc-convert"), HF_MODULES_CACHE=folder + "/modules",
                           HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", OMP_NUM_THREADS="1")
        return subprocess.run([python(), "-B", __file__], env=environment).returncode


if __name__ == "__main__":
    if "FCC_MODEL" in os.environ:
        unittest.main(argv=sys.argv[:1])
    sys.exit(main())
