"""Majorities against their definition, tried the long way; and how many members may fail."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.etcd.raft import quorum

MEMBERS = st.integers(1, 9)
VOTERS = st.frozensets(MEMBERS, max_size=7)


def twin_committed(voters: frozenset[int], acked: dict[int, int]) -> int:
    """The largest index that every set of one majority's members acknowledged: by trying every majority."""
    if not voters:
        return quorum.INFINITY
    size = len(voters) // 2 + 1
    return max(min(acked.get(voter, 0) for voter in group) for group in itertools.combinations(sorted(voters), size))


def twin_vote(voters: frozenset[int], votes: dict[int, bool]) -> str:
    """Won when the granted are a majority; lost when the rest cannot become one."""
    needed = len(voters) // 2 + 1
    granted = sum(votes.get(voter, False) for voter in voters)
    possible = sum(votes.get(voter, True) for voter in voters)
    if not voters or granted >= needed:
        return quorum.WON
    return quorum.PENDING if possible >= needed else quorum.LOST


@given(VOTERS, VOTERS, st.dictionaries(MEMBERS, st.integers(0, 20)))
def test_committed_index(incoming: frozenset[int], outgoing: frozenset[int], acked: dict[int, int]) -> None:
    expected = min(twin_committed(incoming, acked), twin_committed(outgoing, acked))
    assert expected == quorum.committed_index((incoming, outgoing), acked)
    assert expected == quorum.committed_index((outgoing, incoming), acked)


@given(VOTERS, VOTERS, st.dictionaries(MEMBERS, st.booleans()))
def test_vote_result(incoming: frozenset[int], outgoing: frozenset[int], votes: dict[int, bool]) -> None:
    halves = {twin_vote(incoming, votes), twin_vote(outgoing, votes)}
    expected = halves.pop() if len(halves) == 1 else quorum.LOST if quorum.LOST in halves else quorum.PENDING
    assert expected == quorum.vote_result((incoming, outgoing), votes)


@pytest.mark.parametrize(("members", "majority", "may_fail"), [(1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 3, 1), (5, 3, 2), (6, 4, 2), (7, 4, 3)])
def test_the_majority_table(members: int, majority: int, may_fail: int) -> None:
    assert (majority, may_fail) == (quorum.majority_size(members), quorum.tolerated_failures(members))
