"""Arrays that grow with the node table."""

from typing import Any

import numpy as np


def grown(array: Any, size: int) -> Any:
    """A copy of an array with its first axis grown to ``size``, zeros behind."""
    larger = np.zeros((size, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
