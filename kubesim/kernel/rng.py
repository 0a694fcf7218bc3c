"""Named streams of random numbers: one per purpose, so that a draw more in one place changes nothing in another.

``(seed, name)`` decides a stream's draws; the order in which streams are asked for does not.
"""

from kubesim._core.random import SUFFIX_ALPHABET, Stream

__all__ = ["SUFFIX_ALPHABET", "Stream", "Streams"]


class Streams:
    """The streams of one seed: asked twice for a name, it gives the same stream, further along."""

    __slots__ = ("_streams", "seed")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, Stream] = {}

    def stream(self, name: str) -> Stream:
        """Return the stream of this name."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(self.seed, name)
        return stream
