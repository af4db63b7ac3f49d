"""A run of a few steps that all tests share, and what it was made from."""

import pathlib
import random

import pytest

import fcc

WORDS = "segment memory layer token carries reads writes folds Grüße 記憶 the a of".split()


def make_texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(20, 60))) for _ in range(count)]


def make_config(folder: pathlib.Path, **model: object) -> dict:
    """A configuration of 6 steps over token files in `folder`, which are written."""
    tokenizer = fcc.load_tokenizer("bytes")
    for name, seed in (("train", 1), ("held_out", 2)):
        fcc.write_tokens(folder / f"{name}.safetensors", make_texts(20, seed), tokenizer)
    return {
        "output": folder / "run",
        "model": {
            "config": {
                "vocab_size": tokenizer.vocab_size,
                "hidden_size": 24,
                "intermediate_size": 40,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "head_dim": 6,
                "initializer_range": 0.2,
                "tie_word_embeddings": False,
                "fcc": {"arch": "condensation", "segment_length": 5},
                **model,
            }
        },
        "data": {
            "tokenizer": {"type": "bytes"},
            "train": [{"type": "tokens", "path": folder / "train.safetensors"}],
            "validation": [
                {"type": "tokens", "name": "held_out", "path": folder / "held_out.safetensors"}
            ],
        },
        "train": {
            "batch_size": 2,
            "threads": 1,
            "stages": [{"steps": 6, "segments": 3}],
            "validate_every": 3,
            "validation_batches": 1,
        },
        "optim": {"lr": 1e-2, "warmup_steps": 2},
        "engine": {"device": "cpu", "dtype": "float32"},
        "checkpoint": {"every": 3},
        "log": {"every": 2, "tensorboard": False},
    }


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> fcc.TrainResult:
    return fcc.train(make_config(tmp_path_factory.mktemp("trained")))


@pytest.fixture(scope="session")
def model(trained: fcc.TrainResult) -> fcc.Model:
    return fcc.load(trained.model, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def model64(trained: fcc.TrainResult) -> fcc.Model:
    """The same in float64: no rounding hides a mistake."""
    return fcc.load(trained.model, device="cpu", dtype="float64")
