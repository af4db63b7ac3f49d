"""Token files: corpora of ids, as fcc-data tokenize makes them."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, overload

import numpy

from fcc import _fcc
from fcc._arrays import as_ids
from fcc._fcc import Tokenizer


class TokenFile:
    """The documents of a token file, read where they are asked for: a sequence of int32 arrays.

    `file[d]` is document d with its BOS and EOS, [tokens]; `file[a:b]` a list of some; `len(file)` their number. Blocks are compared
    with their checksums when they are first read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._core = _fcc.TokenFile(os.fspath(path))

    @property
    def num_tokens(self) -> int:
        """Tokens of all documents."""
        return self._core.num_tokens

    @property
    def vocab_size(self) -> int:
        """Every id is below it."""
        return self._core.vocab_size

    @property
    def tokenizer_kind(self) -> str:
        """`Tokenizer.kind` of the tokenizer that made it."""
        return self._core.tokenizer_kind

    @property
    def tokenizer_hash(self) -> str:
        """`Tokenizer.hash` of the tokenizer that made it."""
        return self._core.tokenizer_hash

    @property
    def adds_bos(self) -> bool:
        """Whether every document begins with BOS."""
        return self._core.add_bos

    @property
    def adds_eos(self) -> bool:
        """Whether every document ends with EOS."""
        return self._core.add_eos

    def read(self, begin: int, end: int) -> numpy.ndarray:
        """The tokens from `begin` to `end` of the whole file, whatever documents they are of: int32."""
        return self._core.read(begin, end)

    def verify(self) -> None:
        """Compares the whole file with its checksums. Raises `FormatError` where one differs."""
        self._core.verify()

    def __len__(self) -> int:
        return self._core.num_documents

    @overload
    def __getitem__(self, document: int) -> numpy.ndarray: ...
    @overload
    def __getitem__(self, document: slice) -> list[numpy.ndarray]: ...
    def __getitem__(self, document: int | slice) -> numpy.ndarray | list[numpy.ndarray]:
        count = len(self)
        if isinstance(document, slice):
            return [self[d] for d in range(*document.indices(count))]
        if not -count <= document < count:
            raise IndexError(f"document {document} of {count}")
        return self._core.read(*self._core.bounds(document % count))

    def __iter__(self) -> Iterator[numpy.ndarray]:
        return (self[d] for d in range(len(self)))

    def __repr__(self) -> str:
        return f"<fcc.TokenFile of {len(self):,} documents, {self.num_tokens:,} tokens>"


def read_tokens(path: str | os.PathLike[str]) -> TokenFile:
    """Opens a token file."""
    return TokenFile(path)


def write_tokens(
    path: str | os.PathLike[str],
    documents: Iterable[str | bytes | Any],
    tokenizer: Tokenizer,
    *,
    add_bos: bool = False,
    add_eos: bool = True,
) -> None:
    """Writes a token file of documents: texts, which are tokenized, or rows of ids [t].

    BOS and EOS are put around each, as told. Documents may come from a generator: memory does not grow
    with them. The file appears at `path` when it is whole.
    """
    target = os.fspath(path)
    parent, name = os.path.split(os.path.abspath(target))
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=parent) as folder:
        writer = _fcc.TokenWriter(os.path.join(folder, "spool"), tokenizer, add_bos, add_eos)
        for document in documents:
            is_text = isinstance(document, (str, bytes))
            writer.add(as_ids(tokenizer.encode(document) if is_text else document))
        writer.write(target)
