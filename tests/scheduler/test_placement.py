"""The compiled rows: what is out of range is refused, a demand drops its zeros, a chain reports who became a candidate."""

import numpy as np
import pytest

from kubesim._core.placement import RATIO, AllocationKernel, ArrayKernel, BalanceKernel, Chain, Demand, FitKernel, Kernel, Rows
from kubesim._core.ranking import Ranking


@pytest.fixture
def rows() -> Rows:
    """Three rows with 1000 and 2000 of two columns and room for one."""
    allocatable = np.array([[1000, 2000]] * 3, np.int64)
    return Rows(allocatable, np.zeros_like(allocatable), np.zeros((3, 2), np.int64), np.zeros(3, np.int64), np.ones(3, np.int64))


def answers(kernel: Kernel) -> list[int]:
    out = np.empty(3, np.int64)
    kernel.evaluate(np.arange(3), out)
    return out.tolist()


def test_a_demand_drops_its_zeros() -> None:
    demand = Demand([0, 1, 2], [5, 0, 7], 100, 200)
    assert (demand.items(), demand.size, demand.nominal) == ([(0, 5), (2, 7)], 2, (100, 200))


def test_rows_add_and_give_back(rows: Rows) -> None:
    demand = Demand([0, 1], [600, 2000])
    fit = FitKernel(rows, demand)
    assert answers(fit) == [0, 0, 0]
    rows.add(1, demand)
    assert answers(fit) == [0, 0b111, 0]
    rows.add(1, demand, -1)
    assert answers(fit) == [0, 0, 0]


def test_a_chain_refreshes_only_what_it_is_told(rows: Rows) -> None:
    demand = Demand([0], [600])
    ranking, open_N, base_N = Ranking(3), np.array([1, 1, 0], np.uint8), np.array([5, 7, 9], np.int64)
    chain = Chain(ranking, [FitKernel(rows, demand)], [AllocationKernel(rows, [0], [600], [1], [-1])], [2], open_N, base_N)
    chain.refresh([0, 1, 2])
    assert [ranking[row] for row in range(3)] == [5 + 2 * 40, 7 + 2 * 40, -1]
    rows.add(1, demand)
    chain.refresh([1, 0], 1)
    assert ranking[1] == 87
    chain.refresh([1])
    assert (ranking[1], ranking.ties(), ranking.row_at(0)) == (-1, 1, 0)
    open_N[2] = 1
    chain.refresh_all()
    assert ranking.row_at(0) == 2
    base_N[0] += 1000
    base_N[1] += 2000
    chain.rebase()
    ranking.check()
    assert [ranking[row] for row in range(3)] == [1085, -1, ranking[2]]
    assert ranking.row_at(0) == 0


def test_takers_choose_one_after_the_other(rows: Rows) -> None:
    demand = Demand([0], [600])
    ranking, count_N = Ranking(3), np.zeros(3, np.int64)
    opened, base_N = np.ones(3, np.uint8), np.array([1, 0, 2], np.int64)
    chain = Chain(ranking, [FitKernel(rows, demand)], [], [], opened, base_N)
    chain.refresh_all()
    assert chain.place(rows, demand, [count_N, count_N], 5) == [2, 0, 1]
    assert count_N.tolist() == [2, 2, 2]
    assert chain.place(rows, demand, [], 1) == []
    with pytest.raises(ValueError, match="1 places for 3 rows"):
        chain.place(rows, demand, [np.zeros(1, np.int64)], 1)


def test_what_is_wrong_is_refused(rows: Rows) -> None:
    with pytest.raises(ValueError, match="at most 60 resources, got 61"):
        Demand(list(range(61)), [1] * 61)
    with pytest.raises(ValueError, match="must not be negative"):
        Demand([-1], [1])
    with pytest.raises(IndexError, match="row 3 of 3"):
        rows.add(3, Demand([0], [1]))
    with pytest.raises(IndexError, match="row 9 of 3"):
        FitKernel(rows, Demand([0], [1])).evaluate(np.array([9]), np.empty(1, np.int64))
    with pytest.raises(ValueError, match="2 places for 1 rows"):
        FitKernel(rows, Demand([0], [1])).evaluate(np.array([0]), np.empty(2, np.int64))
    with pytest.raises(ValueError, match="one length"):
        BalanceKernel(rows, [0], [1, 2], [1], [-1])
    with pytest.raises(ValueError, match="at least one point"):
        AllocationKernel(rows, [0], [1], [1], [-1], RATIO)
    with pytest.raises(ValueError, match="weights: 1 for 0 scorers"):
        Chain(Ranking(3), [], [], [1], np.zeros(3, np.uint8), np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="must have 3 rows"):
        Chain(Ranking(3), [], [], [], np.zeros(2, np.uint8), np.zeros(3, np.int64))


def test_an_array_answers_as_a_kernel(rows: Rows) -> None:
    values_N = np.array([3, 0, 7], np.int64)
    kernel = ArrayKernel(rows, values_N)
    assert answers(kernel) == [3, 0, 7]
    values_N[1] = 5
    assert kernel.at(1) == 5
    with pytest.raises(ValueError, match="values_N: 2 places for 3 rows"):
        ArrayKernel(rows, values_N[:2])
