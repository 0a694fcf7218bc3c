"""Amounts that are drawn: durations and exit codes as distributions, read from text.

``uniform(LOW, HIGH)``, ``normal(MEAN, DEVIATION)`` (never below zero), ``exponential(MEAN)``, ``choice(SHARE: VALUE, ...)`` with shares
such as ``90%`` that sum to 100 %. Everything is whole numbers once drawn.
"""

from collections.abc import Callable
from typing import NamedTuple

from kubesim.kernel.rng import Stream

WHOLE = 1_000_000  # shares are counted in millionths
KINDS = {"uniform": 2, "normal": 2, "exponential": 1}
EXPECTED = "expected uniform(LOW, HIGH), normal(MEAN, DEVIATION), exponential(MEAN) or choice(SHARE%: VALUE, ...)"
CHOICES_MAX = 1000


class Distribution(NamedTuple):
    """``values`` are the parameters, or the values of a choice with its ``shares``."""

    kind: str
    values: tuple[int, ...]
    shares: tuple[int, ...] = ()

    def draw(self, stream: Stream) -> int:
        """Draw once."""
        values = self.values
        if self.kind == "uniform":
            return stream.between(values[0], values[1])
        if self.kind == "normal":
            return max(round(stream.normal(values[0], values[1])), 0)
        if self.kind == "exponential":
            return round(stream.exponential(values[0]))
        point = stream.below(WHOLE)
        for value, share in zip(values, self.shares):
            point -= share
            if point < 0:
                return value
        raise AssertionError(f"shares {self.shares} do not sum to {WHOLE}")


Drawn = int | Distribution


def drawn(value: Drawn, stream: Stream) -> int:
    """A number as it is, a distribution drawn once."""
    return value if isinstance(value, int) else value.draw(stream)


def parse_distribution(text: str, parse: Callable[[str], int]) -> Drawn:
    """Read a distribution or a single value; ``parse`` reads a value. Raises ValueError."""
    kind, bracket, rest = text.partition("(")
    kind = kind.strip()
    if not bracket:
        return parse(text.strip())
    if not rest.rstrip().endswith(")") or (kind not in KINDS and kind != "choice"):
        raise ValueError(f"{text!r}: {EXPECTED}")
    parts = [part.strip() for part in rest.rstrip()[:-1].split(",")]
    if kind == "choice":
        return _choice(text, parts, parse)
    if len(parts) != KINDS[kind]:
        raise ValueError(f"{text!r}: {kind} has {len(parts)} parameters; expected {KINDS[kind]}")
    values = tuple(parse(part) for part in parts)
    if kind == "uniform" and values[0] > values[1]:
        raise ValueError(f"{text!r}: expected the smaller value first")
    return Distribution(kind, values)


def _choice(text: str, parts: list[str], parse: Callable[[str], int]) -> Distribution:
    if len(parts) > CHOICES_MAX:
        raise ValueError(f"choice has {len(parts)} values; expected at most {CHOICES_MAX}")
    shares, values = [], []
    for part in parts:
        share, colon, value = part.partition(":")
        number = share.strip().removesuffix("%")
        if not colon or not share.strip().endswith("%") or not number.replace(".", "", 1).isdigit():
            raise ValueError(f'{part!r}: expected "SHARE%: VALUE"')
        shares.append(round(float(number) * WHOLE / 100))
        values.append(parse(value.strip()))
    if sum(shares) != WHOLE:
        raise ValueError(f"{text!r}: the shares sum to {sum(shares) * 100 / WHOLE:g} %; expected 100 %")
    return Distribution("choice", tuple(values), tuple(shares))
