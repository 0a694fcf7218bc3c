"""The random streams against their twin, against pinned draws, and their distributions."""

import math
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim._core.random import SUFFIX_ALPHABET, Stream
from tests.kernel.random_twin import StreamTwin, natural_log

INT64 = st.integers(-(2**63), 2**63 - 1)
DRAWS = st.one_of(
    st.just(("u64",)),
    st.just(("uniform",)),
    st.just(("uuid",)),
    st.tuples(st.just("below"), st.integers(1, 2**64 - 1)),
    st.tuples(st.just("below"), st.sampled_from([1, 2, 3, 10, 2**63, 2**63 + 1, 2**64 - 1])),
    st.tuples(INT64, INT64).map(lambda pair: ("between", min(pair), max(pair))),
    st.just(("between", -(2**63), 2**63 - 1)),
    st.tuples(st.just("exponential"), st.floats(0, 1e18)),
    st.tuples(st.just("normal"), st.floats(-1e18, 1e18), st.floats(0, 1e18)),
    st.tuples(st.just("suffix"), st.integers(1, 20)),
)


@given(st.integers(), st.text(st.characters(exclude_categories=["Cs"])), st.lists(DRAWS, max_size=30))
def test_every_draw_is_the_twins_to_the_last_bit(seed: int, name: str, draws: list[tuple[Any, ...]]) -> None:
    stream, twin = Stream(seed, name), StreamTwin(seed, name)
    for method, *arguments in draws:
        assert getattr(stream, method)(*arguments) == getattr(twin, method)(*arguments)
    assert stream.u64() == twin.u64()


@given(st.integers(0, 50), st.integers())
def test_shuffle_is_the_twins(count: int, seed: int) -> None:
    first, second = list(range(count)), list(range(count))
    Stream(seed, "s").shuffle(first)
    StreamTwin(seed, "s").shuffle(second)
    assert first == second
    assert sorted(first) == list(range(count))


PINNED = [
    ("u64", (), [12988725376148923990, 1492299340854085496, 15518734806409949446]),
    ("below", (1_000_000,), [704120, 80897, 841272]),
    ("uniform", (), ["0x1.688271d324eacp-1", "0x1.4b5b6580e2840p-4", "0x1.aebb3e2b571c6p-1"]),
    ("between", (-500, 500), [204, -420, 342]),
    ("exponential", (1.0,), ["0x1.37c1dfc4cde23p+0", "0x1.59879fa3feb83p-4", "0x1.d72f4697f1a74p+0"]),
    ("normal", (10.0, 2.0), ["0x1.4ed5e1a86a7edp+3", "0x1.4322bdb987659p+3", "0x1.4b991831a17c5p+3"]),
    ("uuid", (), ["b44138e9-9275-4656-94b5-b6580e284778", "d75d9f15-ab8e-4106-87c4-d78b3771c5c9", "8a992e36-c07e-4ec8-89c2-24f540925b5c"]),
    ("suffix", (10,), ["zd5bscs2ph", "s9nq98wdlr", "hxl95fbqll"]),
]


@pytest.mark.parametrize(("method", "arguments", "expected"), PINNED, ids=lambda value: value if isinstance(value, str) else "")
def test_draws_are_the_same_on_every_machine(method: str, arguments: tuple[Any, ...], expected: list[Any]) -> None:
    stream = Stream(42, "pinned")
    drawn = [getattr(stream, method)(*arguments) for _ in range(3)]
    assert [value.hex() if isinstance(value, float) else value for value in drawn] == expected


@given(st.floats(2.0**-1000, 1e300))
def test_the_logarithm_is_right_to_a_few_units_in_the_last_place(value: float) -> None:
    assert natural_log(value) == pytest.approx(math.log(value), rel=1e-15, abs=1e-15)


@pytest.mark.parametrize(
    ("draw", "mean", "variance"),
    [
        (lambda stream: stream.uniform(), 1 / 2, 1 / 12),
        (lambda stream: stream.below(10), 4.5, 99 / 12),
        (lambda stream: stream.between(-2, 2), 0.0, 24 / 12),
        (lambda stream: stream.exponential(3.0), 3.0, 9.0),
        (lambda stream: stream.normal(5.0, 2.0), 5.0, 4.0),
        (lambda stream: stream.choice((0, 1)), 0.5, 0.25),
    ],
    ids=["uniform", "below", "between", "exponential", "normal", "choice"],
)
def test_mean_and_variance(draw: Callable[[Stream], float], mean: float, variance: float) -> None:
    stream, count = Stream(7, "moments"), 40_000
    drawn = [draw(stream) for _ in range(count)]
    error = math.sqrt(variance / count)
    found = sum(drawn) / count
    assert abs(found - mean) < 4 * error
    assert sum((value - found) ** 2 for value in drawn) / count == pytest.approx(variance, rel=0.05)


def test_suffixes_use_all_characters_equally() -> None:
    stream = Stream(1, "names")
    text = "".join(stream.suffix(100) for _ in range(270))
    assert set(text) == set(SUFFIX_ALPHABET)
    assert all(850 < text.count(character) < 1150 for character in SUFFIX_ALPHABET)


def test_a_uuid_is_of_version_4_and_the_variant_of_the_rfc() -> None:
    stream = Stream(1, "uids")
    drawn = [stream.uuid() for _ in range(200)]
    assert len(set(drawn)) == 200
    for text in drawn:
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)
        assert (uuid.UUID(text).version, uuid.UUID(text).variant) == (4, uuid.RFC_4122)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda stream: stream.below(0), ValueError, "count is 0; expected 1 to"),
        (lambda stream: stream.below(-1), ValueError, "count is -1"),
        (lambda stream: stream.below(2**64), ValueError, "count is 18446744073709551616"),
        (lambda stream: stream.between(2, 1), ValueError, "low is 2 and high is 1"),
        (lambda stream: stream.between(0.5, 1), TypeError, None),
        (lambda stream: stream.below(1.5), TypeError, None),
        (lambda stream: stream.choice([]), ValueError, "the sequence is empty"),
        (lambda stream: stream.suffix(0), ValueError, "length is 0; expected 1 to 253"),
        (lambda stream: stream.shuffle((1, 2)), TypeError, None),
        (lambda stream: Stream("1", "name"), ValueError, "seed is '1'; expected an integer"),
        (lambda stream: Stream(1, None), TypeError, None),
    ],
)
def test_bad_input(call: Callable[[Stream], object], error: type[Exception], message: str | None) -> None:
    with pytest.raises(error, match=message):
        call(Stream(1, "bad"))
