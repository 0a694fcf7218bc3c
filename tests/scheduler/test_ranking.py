"""The ranking against a list: best total, ties, and which row is the k-th of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim._core.ranking import Ranking


def plain_ties(totals: list[int]) -> list[int]:
    best = max(totals, default=-1)
    return [] if best < 0 else [row for row, total in enumerate(totals) if total == best]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 200), st.lists(st.tuples(st.integers(0, 199), st.integers(-2, 5)), max_size=60), st.booleans())
def test_every_change_is_seen(size: int, changes: list[tuple[int, int]], load_first: bool) -> None:
    ranking = Ranking(size)
    totals = [-1] * size
    if load_first:
        totals = [row % 4 - 1 for row in range(size)]
        ranking.load(np.array(totals, np.int64))
    for row, total in changes:
        if row < size:
            totals[row] = ranking[row] = total
        ranking.check()
        ties = plain_ties(totals)
        assert ranking.ties() == len(ties)
        assert ranking.candidate_count == sum(total >= 0 for total in totals)
        assert [ranking.row_at(index) for index in range(len(ties))] == ties
        assert ranking.best() == (totals[ties[0]] if ties else -1)
    read = np.empty(size, np.int64)
    ranking.read(read)
    assert read.tolist() == totals
    ranking.clear()
    assert ranking.ties() == 0 and ranking.candidate_count == 0


def test_what_is_out_of_range_is_refused() -> None:
    ranking = Ranking(3)
    with pytest.raises(IndexError, match="row 3 of 3"):
        ranking[3] = 1
    with pytest.raises(IndexError, match="row -1 of 3"):
        ranking[-1]
    with pytest.raises(IndexError, match="row 0 of 0 with the highest total"):
        ranking.row_at(0)
    with pytest.raises(ValueError, match="4 totals for 3 rows"):
        ranking.load(np.zeros(4, np.int64))
    with pytest.raises(ValueError, match="size"):
        Ranking(-1)
