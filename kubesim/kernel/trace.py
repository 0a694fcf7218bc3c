"""The trace: what happened, in order, folded into a digest.

Two runs with equal digests did the same things in the same order. A record is a few integers, texts, booleans, None or floats
(one that is not finite counts as None), or tuples of those. Records are written as canonical JSON, one after the other, so the
digest does not depend on how they are buffered, on PYTHONHASHSEED or on the machine. They are not kept.
"""

from hashlib import blake2b
from typing import Any

import orjson

from kubesim._core.journal import Journal

BUFFER_RECORDS_MAX = 512
DIGEST_SIZE = 16


class Trace(Journal):
    """An append-only sequence of records of which the count and a digest are kept.

    >>> trace = Trace()
    >>> trace.record(5, "kubelet", "started")
    >>> trace.count, len(trace.digest())
    (1, 32)
    """

    __slots__ = ("_folded_count", "_hash")

    def __init__(self) -> None:
        super().__init__(BUFFER_RECORDS_MAX)
        self._folded_count = 0
        self._hash = blake2b(digest_size=DIGEST_SIZE)

    @property
    def count(self) -> int:
        """How many records there are."""
        return self._folded_count + len(self.buffer)

    def digest(self) -> str:
        """Return the digest of all records so far, 32 hexadecimal digits."""
        self.fold()
        return self._hash.hexdigest()

    def fold(self) -> None:
        """Add what was recorded to the digest."""
        # "[[1,2],[3]]" without the outer brackets and with a comma after it: the same bytes however the records are cut into batches.
        if not self.buffer:
            return
        try:
            encoded = orjson.dumps(self.buffer)
        except TypeError as error:
            raise TypeError(f"a record holds a field that has no canonical text: {self._culprit()!r}") from error
        self._folded_count += len(self.buffer)
        self.buffer.clear()
        self._hash.update(encoded[1:-1])
        self._hash.update(b",")

    def _culprit(self) -> tuple[Any, ...]:
        for fields in self.buffer:
            try:
                orjson.dumps(fields)
            except TypeError:
                return fields
        raise AssertionError("every record can be encoded alone")
