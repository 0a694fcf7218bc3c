"""The ranking against a list: best total, ties, and which row is the k-th of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim._core.ranking import Ranking


def plain_ties(totals: list[int]) -> list[int]:
    best = max(totals, default=-1)
    return [] if best < 0 else [row for row, total in enumerate(totals) if total == best]


rows = st.integers(0, 199)
groups = st.integers(0, 12)
changes = st.one_of(
    st.tuples(st.just("value"), rows, st.integers(-2, 5)),
    st.tuples(st.just("group"), rows, groups),
    st.tuples(st.just("addition"), groups, st.integers(-1, 5)),
)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 200), st.lists(changes, max_size=60), st.booleans())
def test_every_change_is_seen(size: int, changes: list[tuple[str, int, int]], is_full: bool) -> None:
    ranking = Ranking(size)
    values, group_of, additions = [-1] * size, [0] * size, [0] * 13
    assert [ranking.add_group() for _ in range(12)] == list(range(1, 13))
    if is_full:
        for row in range(size):
            values[row] = ranking[row] = row % 4 - 1
    for kind, index, number in changes:
        if kind == "addition":
            additions[index] = number
            ranking.set_addition(index, number)
        elif index < size and kind == "value":
            values[index] = ranking[index] = number
        elif index < size:
            group_of[index] = number
            ranking.join(index, number)
        ranking.check()
        totals = [-1 if v < 0 or additions[g] < 0 else v + additions[g] for v, g in zip(values, group_of)]
        ties = plain_ties(totals)
        assert ranking.ties() == len(ties)
        assert ranking.candidate_count == sum(total >= 0 for total in totals)
        assert [ranking.row_at(index) for index in range(len(ties))] == ties
        assert ranking.best() == (totals[ties[0]] if ties else -1)
        read = np.empty(size, np.int64)
        ranking.read(read)
        assert read.tolist() == totals == [ranking[row] for row in range(size)]


def test_the_feasible_version_moves_when_a_row_becomes_a_candidate_or_ceases_to_be_one() -> None:
    ranking = Ranking(3)
    group = ranking.add_group()
    seen = [ranking.feasible_version]

    def moved() -> bool:
        seen.append(ranking.feasible_version)
        return seen[-1] != seen[-2]

    ranking.join(0, group)
    assert not moved()
    ranking[0] = 5
    assert moved()
    ranking[0] = 7
    ranking.set_addition(group, 3)
    assert not moved()
    ranking.set_addition(group, -1)
    assert moved()
    ranking[0] = -1
    assert not moved()
    ranking[0] = 1
    ranking.join(0, 0)
    assert moved() and ranking.group(0) == 0


def test_what_is_out_of_range_is_refused() -> None:
    ranking = Ranking(3)
    with pytest.raises(IndexError, match="row 3 of 3"):
        ranking[3] = 1
    with pytest.raises(IndexError, match="row -1 of 3"):
        ranking[-1]
    with pytest.raises(IndexError, match="row 0 of 0 with the highest total"):
        ranking.row_at(0)
    with pytest.raises(IndexError, match="group 1 of 1"):
        ranking.join(0, 1)
    with pytest.raises(ValueError, match="4 places for 3 rows"):
        ranking.read(np.zeros(4, np.int64))
    with pytest.raises(ValueError, match="size"):
        Ranking(-1)
