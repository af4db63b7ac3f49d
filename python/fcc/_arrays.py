"""What comes in as token ids."""

from typing import Any

import numpy


def as_ids(ids: Any) -> Any:
    """`ids` as something with `__dlpack__`: arrays and tensors as they are, lists as numpy's."""
    if hasattr(ids, "__dlpack__"):
        return ids
    if isinstance(ids, (str, bytes)):
        raise TypeError("ids must be whole numbers, not a text: tokenizer.encode(text) gives them")
    try:
        array = numpy.asarray(ids)
    except ValueError as error:
        raise ValueError("rows of ids must be equally long") from error
    if array.dtype.kind not in "iufb" and array.size:
        raise TypeError(f"ids must be whole numbers; got {array.dtype}")
    return array.astype(numpy.int64) if array.size == 0 else array
