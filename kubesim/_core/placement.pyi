from collections.abc import Iterable, Sequence
from typing import Any

from kubesim._core.groups import Groups
from kubesim._core.random import Stream
from kubesim._core.ranking import Ranking

LEAST: int
MOST: int
RATIO: int
COUNT_BIT: int
COLUMN_BIT: int
HOPELESS_BIT: int

class Rows:
    def __init__(self, allocatable_NR: Any, used_NR: Any, nominal_used_N2: Any, count_N: Any, count_max_N: Any) -> None: ...
    def bind(self, allocatable_NR: Any, used_NR: Any, nominal_used_N2: Any, count_N: Any, count_max_N: Any) -> None: ...
    def add(self, row: int, demand: Demand, sign: int = 1) -> None: ...

class Demand:
    def __init__(self, columns: Sequence[int], amounts: Sequence[int], nominal0: int = 0, nominal1: int = 0) -> None: ...
    @property
    def size(self) -> int: ...
    def items(self) -> list[tuple[int, int]]: ...
    @property
    def nominal(self) -> tuple[int, int]: ...

class Kernel:
    @property
    def rows(self) -> Rows: ...
    def at(self, row: int) -> int: ...
    def evaluate(self, rows: Any, out: Any) -> None: ...

class ArrayKernel(Kernel):
    def __init__(self, rows: Rows, values_N: Any) -> None: ...

class FitKernel(Kernel):
    def __init__(self, rows: Rows, demand: Demand) -> None: ...

class ResourceKernel(Kernel): ...

class AllocationKernel(ResourceKernel):
    def __init__(
        self,
        rows: Rows,
        columns: Sequence[int],
        requests: Sequence[int],
        weights: Sequence[int],
        nominal: Sequence[int],
        strategy: int = ...,
        shape: Sequence[tuple[int, int]] = (),
    ) -> None: ...

class BalanceKernel(ResourceKernel):
    def __init__(
        self, rows: Rows, columns: Sequence[int], requests: Sequence[int], weights: Sequence[int], nominal: Sequence[int]
    ) -> None: ...

class Chain:
    @property
    def ranking(self) -> Ranking: ...
    @property
    def groups(self) -> Groups | None: ...
    def __init__(
        self,
        ranking: Ranking,
        filters: Iterable[Kernel],
        scorers: Iterable[Kernel],
        weights: Sequence[int],
        open_N: Any,
        base_N: Any,
        groups: Groups | None = None,
    ) -> None: ...
    def refresh(self, rows: list[int], start: int = 0) -> None: ...
    def refresh_all(self) -> None: ...
    def rebase(self) -> None: ...
    def settle(self) -> None: ...
    def place(self, rows: Rows, demand: Demand, counts: Sequence[Any], taker_count: int, stream: Stream | None = None) -> list[int]: ...
