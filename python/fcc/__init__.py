"""Folded Context Condensation: transformers on sequences of any length.

    import fcc

    model = fcc.load("runs/book/final")
    stream = model.stream()
    stream.feed(model.prompt_ids("It was"))
    print("".join(stream.generate_text(200, temperature=0.8)))

In shapes B is the batch, T the tokens of a row, V the vocabulary, D the model's width, N its layers
and L the tokens of a segment.
"""

from fcc._libtorch import share_libtorch

share_libtorch()

from fcc._build import VERSION as __version__  # noqa: E402
from fcc._errors import ConfigError, Error, FormatError, IoError  # noqa: E402
from fcc._fcc import (  # noqa: E402
    Decoder,
    State,
    Tokenizer,
    load_tokenizer,
    read_state,
)
from fcc._metrics import Metrics, read_metrics  # noqa: E402
from fcc._model import Model, load  # noqa: E402
from fcc._stream import Stream  # noqa: E402
from fcc._tokens import TokenFile, read_tokens, write_tokens  # noqa: E402
from fcc._training import TrainResult, train, train_steps  # noqa: E402

__all__ = [
    "ConfigError",
    "Decoder",
    "Error",
    "FormatError",
    "IoError",
    "Metrics",
    "Model",
    "State",
    "Stream",
    "TokenFile",
    "Tokenizer",
    "TrainResult",
    "__version__",
    "load",
    "load_tokenizer",
    "read_metrics",
    "read_state",
    "read_tokens",
    "train",
    "train_steps",
    "write_tokens",
]
