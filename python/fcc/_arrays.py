"""What comes in as token ids."""

from typing import Any

import numpy


def as_ids(ids: Any) -> Any:
    """`ids` as something with `__dlpack__`: arrays and tensors as they are, lists as numpy's."""
    if hasattr(ids, "__dlpack__"):
        return ids
    array = numpy.asarray(ids)
    return array.astype(numpy.int64) if array.size == 0 else array
