"""The groups against plain counting: tallies follow by difference, groups are made of equal keys, and what they add is recounted."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim._core.groups import Attraction, Empty, Evenness, Fixed, Groups, Share, Skew, Tally, Together
from kubesim._core.ranking import Ranking

ROWS = 70  # more than one block
domains = st.lists(st.integers(0, 4), min_size=ROWS, max_size=ROWS)
steps = st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(-1, 20)), max_size=30)


def int32(numbers: Any) -> Any:
    return np.array(numbers, np.int32)


def plain_counts(ids: Any, counts: Any, counted: Any) -> dict[int, int]:
    """Takers per counted domain."""
    found: dict[int, int] = {}
    for domain, count, is_counted in zip(ids.tolist(), counts.tolist(), counted.tolist()):
        if domain and is_counted:
            found[domain] = found.get(domain, 0) + count
    return found


@settings(max_examples=100, deadline=None)
@given(domains, st.lists(st.booleans(), min_size=ROWS, max_size=ROWS), steps)
def test_a_tally_follows_by_difference(ids: Any, counted: Any, steps: Any) -> None:
    ids_N, counted_N, count_N = int32(ids), np.array(counted, np.uint8), np.zeros(ROWS, np.int64)
    tally = Tally(ids_N, count_N, counted_N)
    for row, count in steps:
        count_N[row] = abs(count)
        tally.follow(row)
        plain = plain_counts(ids_N, count_N, counted_N)
        assert tally.counts() == [plain.get(domain, 0) for domain in range(max(ids) + 1)]
        assert (tally.total, tally.domain_count) == (sum(plain.values()), len(plain))
        assert not plain or tally.minimum == min(plain.values())


class World:
    """Rows in zones (0: none), with labels of a number each, own counts, and two kinds of takers."""

    def __init__(self, zones: Any, numbers: Any) -> None:
        self.zones, self.numbers = int32(zones), np.array(numbers, np.int64)
        self.hosts = np.where(self.zones != 3, np.arange(1, ROWS + 1), 0).astype(np.int32)
        self.takers, self.others = np.zeros(ROWS, np.int64), np.zeros(ROWS, np.int64)
        self.counted = np.ones(ROWS, np.uint8)
        self.values = [-1] * ROWS
        self.ranking = Ranking(ROWS)
        parts = [
            Tally(self.zones, self.takers, self.counted),
            Tally(self.hosts, self.takers, self.counted, True),
            Tally(self.hosts, self.others, self.counted, True, 1),
            Fixed(self.numbers),
        ]
        filters = [Skew([0], 1, 3, 2), Empty([2])]
        scores = [Attraction(2, [0, 1], [3, -1]), Evenness(5, [0, 1], [4, 2], True), Evenness(1, [0], [0], False)]
        scores += [Share(7, 3, False), Share(3, 3, True)]
        self.groups = Groups(self.ranking, parts, filters, scores)

    def change(self, kind: str, row: int, number: int) -> None:
        if kind == "value":
            self.ranking[row] = self.values[row] = number
        elif kind == "number":
            self.numbers[row] = max(number, 0)
        else:
            (self.takers if kind == "takers" else self.others)[row] = max(number, 0)
        self.groups.regroup(row)

    def plain_totals(self) -> list[int]:
        """Everything from the start, row by row."""
        zone_counts = plain_counts(self.zones, self.takers, self.counted)
        lowest = min(zone_counts.values()) if len(zone_counts) >= 2 else 0
        zones, hosts = self.zones.tolist(), self.hosts.tolist()
        rows = [
            row
            for row in range(ROWS)
            if self.values[row] >= 0 and zones[row] and zone_counts[zones[row]] + 1 - lowest <= 3 and not (hosts[row] and self.others[row])
        ]
        count = {row: (zone_counts[zones[row]], int(self.takers[row]) if hosts[row] else None) for row in rows}
        sums = dict.fromkeys(rows, 0)
        plain_attraction(sums, {row: 3 * zone - (own or 0) for row, (zone, own) in count.items()}, 2)
        both = {row: counts for row, counts in count.items() if counts[1] is not None}
        weights = (math.log(len({zones[row] for row in both}) + 2), math.log(len(both) + 2))
        plain_evenness(sums, {row: zone * weights[0] + 4.0 + (own * weights[1] + 2.0) for row, (zone, own) in both.items()}, 5)
        weight = math.log(len({zones[row] for row in rows}) + 2)
        plain_evenness(sums, {row: zone * weight + 0.0 for row, (zone, _) in count.items()}, 1)
        highest = max((int(self.numbers[row]) for row in rows), default=0)
        for row in rows:
            share = 100 * int(self.numbers[row]) // highest if highest else 0
            sums[row] += 7 * share + 3 * (100 - share)
        return [self.values[row] + sums[row] if row in sums else -1 for row in range(ROWS)]


def plain_attraction(sums: dict[int, int], raw: dict[int, int], weight: int) -> None:
    lowest, highest = min(raw.values(), default=0), max(raw.values(), default=0)
    for row, points in raw.items():
        sums[row] += weight * int(100.0 * ((points - lowest) / (highest - lowest))) if highest != lowest else 0


def plain_evenness(sums: dict[int, int], exact: dict[int, float], weight: int) -> None:
    raw = {row: math.floor(points) + (points - math.floor(points) >= 0.5) for row, points in exact.items()}
    lowest, highest = min(raw.values(), default=0), max(raw.values(), default=0)
    for row, points in raw.items():
        sums[row] += weight * (100 * (highest + lowest - points) // highest if highest else 100)


changes = st.lists(
    st.tuples(st.sampled_from(["value", "number", "takers", "takers", "others"]), st.integers(0, ROWS - 1), st.integers(-1, 6)), max_size=25
)


@settings(max_examples=100, deadline=None)
@given(domains, st.lists(st.integers(0, 3), min_size=ROWS, max_size=ROWS), st.booleans(), changes)
def test_groups_add_what_plain_counting_adds(zones: Any, numbers: Any, is_open: bool, changes: Any) -> None:
    world = World(zones, numbers)
    for row in range(ROWS) if is_open else ():
        world.change("value", row, row % 3)
    for kind, row, number in changes:
        world.change(kind, row, number)
        world.ranking.check()
        world.groups.check()
    # ``regroup`` does not know that an own value's sign moved; a chain does. Move a count there and back.
    for number in (1, 0):
        world.change("others", 0, number)
    world.groups.evaluate()
    assert [world.ranking[row] for row in range(ROWS)] == world.plain_totals()


@pytest.mark.parametrize(("may_begin", "takers", "expected"), [(True, 0, [1, 2]), (False, 0, []), (True, 1, [2]), (False, 1, [2])])
def test_who_comes_first_may_begin(may_begin: bool, takers: int, expected: list[int]) -> None:
    ranking, count_N = Ranking(3), np.array([0, 0, takers], np.int64)
    tally = Tally(int32([0, 1, 2]), count_N, np.ones(3, np.uint8))
    groups = Groups(ranking, [tally], [Together([0], may_begin)], [])
    for row in range(3):
        ranking[row] = 0
    groups.evaluate()
    assert [row for row in range(3) if ranking[row] >= 0] == expected


def test_what_is_wrong_is_refused() -> None:
    ids, ones = int32([1, 0]), np.ones(2, np.uint8)
    counts = np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="must have 2 rows"):
        Tally(ids, counts[:1], ones)
    with pytest.raises(ValueError, match="got -1 of row 1"):
        Tally(int32([0, -1]), counts, ones)
    with pytest.raises(IndexError, match="row 2 of 2"):
        Tally(ids, counts, ones).follow(2)
    with pytest.raises(ValueError, match="1 for 2 parts"):
        Attraction(1, [0, 1], [1])
    with pytest.raises(ValueError, match="0 for 1 parts"):
        Evenness(1, [0], [], True)
    with pytest.raises(TypeError, match="expected a GroupFilter, got Fixed"):
        Groups(Ranking(2), [], [Fixed(counts)], [])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="one has 2 rows, the ranking 3"):
        Groups(Ranking(3), [Fixed(counts)], [], [])
