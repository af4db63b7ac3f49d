"""Inference over tokens as they come."""

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fcc import _fcc
from fcc._arrays import as_ids
from fcc._fcc import State

if TYPE_CHECKING:
    from fcc._model import Model


class Stream:
    """A place in a text (or in B texts side by side) from which a model reads and writes on.

    It needs the same room at any length (a plain Llama's grows with the text). `Model.stream` makes one.
    Threads that share a stream take turns.
    """

    def __init__(self, model: "Model", core: _fcc.Stream) -> None:
        self._model = model
        self._core = core

    @property
    def model(self) -> "Model":
        """The model that reads."""
        return self._model

    @property
    def batch_size(self) -> int:
        """B, the number of rows."""
        return self._core.batch_size

    @property
    def num_tokens(self) -> int:
        """Tokens so far in each row, those before a restored state included."""
        return self._core.num_tokens()

    @property
    def has_logits(self) -> bool:
        """Whether `logits` are known: not before the first token."""
        return self._core.has_logits()

    def feed(self, ids: Any) -> None:
        """Reads `ids` [B, t] ([t] for a stream of one row), t >= 1. Many at once cost less."""
        self._core.feed(as_ids(ids))

    def logits(self) -> Any:
        """The logits after the last token, [B, V]."""
        return self._core.logits()

    def _sampler(self, temperature: float, top_k: int, top_p: float, seed: int) -> _fcc.Sampler:
        # Rows of the vocabulary beyond the tokenizer's are padding.
        return _fcc.Sampler(temperature, top_k, top_p, seed, self._model.tokenizer.vocab_size)

    def draw(
        self, *, temperature: float = 0.0, top_k: int = 0, top_p: float = 1.0, seed: int = 0
    ) -> int:
        """Draws the next token of a stream of one row, without feeding it.

        temperature 0 takes the likeliest. The seed and the place in the text decide the draw.
        """
        return self._core.draw(self._sampler(temperature, top_k, top_p, seed))

    def generate(
        self,
        max_tokens: int,
        *,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: Iterable[int] | None = None,
    ) -> Iterator[int]:
        """Draws tokens one after another and feeds each; a stream of one row.

        Ends after `max_tokens`, or before a token of `stop` (default: the tokenizer's `end_ids`; empty:
        never), which is not fed. A token that has come out has been fed: the loop may be left anywhere.
        temperature: 0 takes the likeliest token. top_k: only the k likeliest; 0: all. top_p: only the
        likeliest that make up this share. The same seed at the same place draws the same token.
        """
        sampler = self._sampler(temperature, top_k, top_p, seed)
        ends = list(self._model.tokenizer.end_ids if stop is None else stop)
        return self._steps(max_tokens, sampler, ends)

    def _steps(self, max_tokens: int, sampler: _fcc.Sampler, ends: list[int]) -> Iterator[int]:
        step = self._core.step
        for _ in range(max_tokens):
            token = step(sampler, ends)
            if token is None:
                return
            yield token

    def generate_text(
        self,
        max_tokens: int,
        *,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: Iterable[int] | None = None,
    ) -> Iterator[str]:
        """As `generate`, but gives the text out in pieces, as soon as its characters are whole."""
        tokens = self.generate(
            max_tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, stop=stop
        )
        return self._pieces(tokens)

    def _pieces(self, tokens: Iterator[int]) -> Iterator[str]:
        decoder = _fcc.Decoder(self._model.tokenizer)
        decoder.prime(self._core.last_ids())
        for token in tokens:
            piece = decoder.push(token)
            if piece:
                yield piece
        rest = decoder.finish()
        if rest:
            yield rest

    def fork(self) -> "Stream":
        """A second stream at the same place, which would go on exactly alike; each then goes its way."""
        return Stream(self._model, self._core.fork())

    def state(self) -> State:
        """The state after the last token, from which `Model.stream` goes on."""
        return self._core.state()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves the state to a file, for `Model.stream` and for fcc-generate's --load-state."""
        self.state().save(os.fspath(path))

    def __repr__(self) -> str:
        return f"<fcc.Stream after {self.num_tokens} tokens>"
