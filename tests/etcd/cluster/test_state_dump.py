"""A member's state taken out whole and put into another; leases that start over at a new leader."""

import pytest

from kubesim.etcd.lease import EXPIRED_PER_SECOND_MAX, SECOND_NS
from kubesim.etcd.requests import execute
from kubesim.etcd.state import State


def filled() -> State:
    state = State()
    for request in (
        ("grant", 10, 7),
        ("grant", 20, 8),
        ("put", b"a", 1, 7),
        ("put", b"b", 2, 7),
        ("put", b"b", 3),
        ("put", b"c", 4, 8),
        ("delete_range", b"c"),
        ("put", b"d", 5),
        ("compact", 4),
    ):
        execute(state, 0, request)
    return state


def test_a_loaded_state_goes_on_as_the_dumped_one() -> None:
    first, second = filled(), State()
    second.load(first.dump(), now_ns=5)
    for request in (("put", b"e", 6, 8), ("revoke", 7), ("range", b"\0", b"\0", 5), ("delete_if", b"d", 7), ("compact", 6)):
        answers = [execute(state, 9, request) for state in (first, second)]
        assert str(answers[0]) == str(answers[1])
    second.store.check()
    assert [str(change) for change in first.store.changes(5)] == [str(change) for change in second.store.changes(5)]
    assert first.leases.dump() == second.leases.dump()


def test_only_a_fresh_state_is_loaded() -> None:
    with pytest.raises(ValueError, match="load fills a fresh one"):
        filled().load(filled().dump(), 0)


def test_a_promotion_starts_leases_over() -> None:
    leases = filled().leases
    assert leases.expired(10 * SECOND_NS) == [7]
    leases.promote(12 * SECOND_NS, SECOND_NS)
    assert leases.expired(23 * SECOND_NS - 1) == []
    assert leases.expired(23 * SECOND_NS) == [7]
    leases.look_again(7, 26 * SECOND_NS)
    assert leases.expired(26 * SECOND_NS) == [7]
    assert leases.expired(33 * SECOND_NS) == [8]


def test_a_promotion_spreads_leases_that_would_end_together() -> None:
    state = State()
    for number in range(1, 4 * EXPIRED_PER_SECOND_MAX + 1):
        execute(state, 0, ("grant", 60, number))
    state.leases.promote(0, 0)
    ended = [len(state.leases.expired((60 + second) * SECOND_NS)) for second in range(5)]
    assert sum(ended) == 4 * EXPIRED_PER_SECOND_MAX
    assert ended[0] <= EXPIRED_PER_SECOND_MAX + 1
    assert max(ended[1:]) <= EXPIRED_PER_SECOND_MAX + 1
