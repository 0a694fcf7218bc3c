"""The trace: its digest is of the records and their order, and of nothing else."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.kernel import Trace
from kubesim.kernel.trace import BUFFER_RECORDS_MAX

FIELDS = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.booleans(), st.none()
)
RECORDS = st.lists(st.lists(FIELDS, max_size=4), max_size=20)


def digest_of(records: list[list[Any]], repeat: int = 1) -> str:
    trace = Trace()
    for fields in records * repeat:
        trace.record(*fields)
    assert trace.count == len(records) * repeat
    return trace.digest()


@given(RECORDS, RECORDS)
def test_equal_digests_are_equal_records(one: list[list[Any]], other: list[list[Any]]) -> None:
    def exact(records: list[list[Any]]) -> list[list[tuple[type, Any]]]:
        return [[(type(field), field) for field in fields] for fields in records]

    assert (digest_of(one) == digest_of(other)) == (exact(one) == exact(other))


@given(RECORDS, st.sets(st.integers(0, 19)))
def test_looking_at_the_digest_does_not_change_it(records: list[list[Any]], looks: set[int]) -> None:
    trace = Trace()
    for index, fields in enumerate(records):
        trace.record(*fields)
        if index in looks:
            trace.digest()
    assert trace.digest() == digest_of(records)


@pytest.mark.parametrize("count", [0, 1, BUFFER_RECORDS_MAX - 1, BUFFER_RECORDS_MAX, 3 * BUFFER_RECORDS_MAX + 1])
def test_records_are_folded_in_batches(count: int) -> None:
    trace = Trace()
    for number in range(count):
        trace.record(number)
    assert trace.count == count
    assert trace.digest() == digest_of([[number] for number in range(count)])


def test_the_digest_is_the_same_on_every_machine() -> None:
    records = [[1_767_225_600_000_000_000, "kube-apiserver", "create", "pods/default/a", True, None], [-1, "é", 0.1], []]
    assert digest_of([]) == "cae66941d9efbd404e4d88758ea67670"
    assert digest_of(records) == "4ceadd5bbbc435d39d48dac4fcbb0549"
    assert digest_of(records, BUFFER_RECORDS_MAX) == "a6691da9f9e747ab8f42a260f380d9ee"


class Opaque:
    """Something that has no canonical text."""

    def __repr__(self) -> str:
        return "Opaque()"


@pytest.mark.parametrize("field", [Opaque(), b"bytes", 2**64, {1, 2}], ids=["object", "bytes", "integer beyond 64 bits", "set"])
def test_a_field_without_a_canonical_text_is_named(field: object) -> None:
    trace = Trace()
    trace.record(1, "fine")
    trace.record(2, field)
    with pytest.raises(TypeError, match=r"has no canonical text: \(2, "):
        trace.digest()


def test_a_float_that_is_not_finite_counts_as_none() -> None:
    assert digest_of([[math.nan], [math.inf]]) == digest_of([[None], [None]])


def test_listeners_get_the_records() -> None:
    trace, seen = Trace(), []
    trace.record("before")
    trace.listen(seen.append)
    trace.record(1, "after")
    assert seen == [(1, "after")]
