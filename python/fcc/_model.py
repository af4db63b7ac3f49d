"""Models in Hugging Face directories, as fcc-train saves them."""

import json
import os
from typing import Any, Literal

from fcc import _fcc
from fcc._arrays import as_ids
from fcc._fcc import State, Tokenizer
from fcc._stream import Stream

PathLike = str | os.PathLike[str]


class Model:
    """A model ready to be read from, and its tokenizer. `load` makes one.

    Token ids are lists, numpy arrays, or anything with `__dlpack__` (tensors of PyTorch, JAX …; on the
    CPU or the GPU), of shape [B, T], or [T] for one row. Methods may be called from several threads;
    they work without the interpreter's lock.
    """

    def __init__(self, core: _fcc.Model) -> None:
        self._core = core
        self._tokenizer = core.tokenizer

    @property
    def config(self) -> dict[str, Any]:
        """The shape of the model and its section `fcc`: the keys of docs/configuration.md."""
        config: dict[str, Any] = json.loads(self._core.config_json)
        return config

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return self._tokenizer

    @property
    def device(self) -> str:
        """Where the weights lie: `cpu`, `cuda:0` …"""
        return self._core.device

    @property
    def dtype(self) -> str:
        """What is computed in: `float32`, `bfloat16` or `float64`."""
        return self._core.dtype

    @property
    def num_parameters(self) -> int:
        """The number of weights."""
        return self._core.num_parameters

    @property
    def hash(self) -> str:
        """Names the model in saved states: SHA-256 over weights and configuration."""
        return self._core.hash()

    def prompt_ids(self, text: str | bytes, *, special: bool = False) -> list[int]:
        """The ids of a text as the model saw documents begin: BOS first, where it was trained so.

        `special`: special tokens that are written out become their ids, as in `Tokenizer.encode`.
        """
        return self._core.prompt_ids(text, special)

    def logits(self, ids: Any) -> Any:
        """The logits after each token of `ids` [B, T]: [B, T, V] ([T, V] for one row [T]).

        Each row is read from its beginning, with the model's memory from segment to segment.
        """
        return self._core.logits(as_ids(ids))

    def hidden_states(self, ids: Any) -> Any:
        """What goes into each layer for `ids` [B, T], and comes out at last: [N + 1, B, T, D].

        The first is the embedding's (of `local_global`: the output of the local layers, and N counts the
        global ones), the last that after the final norm, from which the logits are made. For one row
        [T]: [N + 1, T, D].
        """
        return self._core.hidden_states(as_ids(ids))

    def stream(self, state: State | PathLike | None = None, *, batch_size: int = 1) -> Stream:
        """A stream of tokens, from the beginning or from a saved state (or its file) on."""
        if state is not None and not isinstance(state, State):
            state = _fcc.read_state(os.fspath(state))
        return Stream(self, _fcc.Stream(self._core, batch_size, state))

    def __repr__(self) -> str:
        return f"<fcc.Model of {self.num_parameters:,} parameters, {self.dtype} on {self.device}>"


def load(
    directory: PathLike,
    *,
    device: str = "auto",
    dtype: str = "auto",
    tokenizer: PathLike | None = None,
    arrays: Literal["numpy", "torch", "dlpack"] = "numpy",
) -> Model:
    """Reads a model from its directory.

    device: `auto` (the GPU where there is one), `cpu`, `cuda` or `cuda:N`.
    dtype: `auto` (bfloat16 on a GPU, float32 on a CPU), `float32`, `bfloat16` or `float64`.
    tokenizer: another one than the model's: `bytes`, a file or a directory.
    arrays: what results are. `numpy`: arrays on the CPU, bfloat16 widened to float32. `torch`: tensors
    where they were made, without a copy. `dlpack`: objects with `__dlpack__`, for other libraries.
    """
    named = None if tokenizer is None else os.fspath(tokenizer)
    return Model(_fcc.load(os.fspath(directory), device, dtype, named, arrays))
