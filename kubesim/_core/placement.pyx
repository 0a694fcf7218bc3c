"""The arithmetic of one row at a time: does a demand fit, how good would it be, and what is the row's total.

``Rows`` looks at arrays that somebody else owns (shape key: N rows, R columns of resources). A ``Kernel`` is one question about a row, with
an int64 answer; ``Chain`` asks several and keeps a ``Ranking`` up to date: after a placement only the changed rows are asked
again. numpy would make some twenty passes over one row's worth of data for the same; a row costs about 20 ns here.

The formulas are upstream's, rounding included (kubernetes/pkg/scheduler/framework/plugins/noderesources): int64 division truncates
towards zero, fractions are float64. The plain twins stand in ``kubesim/scheduler/plugins``.
"""

from libc.math cimport fabs, sqrt
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc

from kubesim._core.groups cimport Groups
from kubesim._core.random cimport Stream
from kubesim._core.ranking cimport Ranking

cdef enum:
    SCORE_MAX = 100
    LEAST_ALLOCATED = 0         # the strategies of AllocationKernel
    MOST_ALLOCATED = 1
    CAPACITY_RATIO = 2
    NO_PLACE_BIT = 0            # FitKernel's code: no place for one more taker
    SHORTAGE_BIT = 1            # + index in the demand: not enough is free of that column
    COLUMNS_MAX = 60            # so the last shortage is bit 60
    NEVER_BIT = 61              # more is asked for than the row has: not even an empty row would do

LEAST, MOST, RATIO = LEAST_ALLOCATED, MOST_ALLOCATED, CAPACITY_RATIO
COUNT_BIT, COLUMN_BIT, HOPELESS_BIT = NO_PLACE_BIT, SHORTAGE_BIT, NEVER_BIT


cdef int64_t *_copy(object numbers) except NULL:
    """A C array of the ints in a sequence."""
    cdef Py_ssize_t index
    cdef Py_ssize_t size = len(numbers)
    cdef int64_t *array = <int64_t *> malloc((size + 1) * sizeof(int64_t))
    if not array:
        raise MemoryError()
    for index in range(size):
        array[index] = numbers[index]
    return array


cdef class Rows:
    """The arrays of a table; ``bind`` again when they were replaced."""

    def __init__(self, allocatable_NR, used_NR, nominal_used_N2, count_N, count_max_N):
        self.bind(allocatable_NR, used_NR, nominal_used_N2, count_N, count_max_N)

    def bind(self, allocatable_NR, used_NR, nominal_used_N2, count_N, count_max_N):
        """Look at these arrays from now on (int64, C order, N rows each)."""
        self.allocatable_NR = allocatable_NR
        self.used_NR = used_NR
        self.nominal_used_N2 = nominal_used_N2
        self.count_N = count_N
        self.count_max_N = count_max_N

    def add(self, Py_ssize_t row, Demand demand not None, int sign=1):
        """Take a demand from a row, or give it back with ``sign=-1``."""
        self.take(row, demand, sign)

    cdef int take(self, Py_ssize_t row, Demand demand, int sign) except -1:
        cdef Py_ssize_t index
        if row < 0 or row >= self.count_N.shape[0]:
            raise IndexError(f"row {row} of {self.count_N.shape[0]}")
        for index in range(demand.size):
            self.used_NR[row, demand.columns[index]] += sign * demand.amounts[index]
        self.nominal_used_N2[row, 0] += sign * demand.nominal0
        self.nominal_used_N2[row, 1] += sign * demand.nominal1
        self.count_N[row] += sign
        return 0


cdef class Demand:
    """What one taker asks for: amounts by column (zeros are left out), and its nominal amounts of columns 0 and 1."""

    def __cinit__(self, columns, amounts, int64_t nominal0=0, int64_t nominal1=0):
        kept = [(column, amount) for column, amount in zip(columns, amounts, strict=True) if amount]
        if len(kept) > COLUMNS_MAX:
            raise ValueError(f"columns: a demand names at most {COLUMNS_MAX} resources, got {len(kept)}")
        if any(column < 0 for column, _ in kept):
            raise ValueError(f"columns: must not be negative, got {columns}")
        self.size = len(kept)
        self.columns = _copy([column for column, _ in kept])
        self.amounts = _copy([amount for _, amount in kept])
        self.nominal0 = nominal0
        self.nominal1 = nominal1

    def __dealloc__(self):
        free(self.columns)
        free(self.amounts)

    def items(self):
        """The (column, amount) pairs, in the order given; bit ``COLUMN_BIT + index`` of a fit code speaks of the index-th."""
        return [(self.columns[index], self.amounts[index]) for index in range(self.size)]

    @property
    def nominal(self):
        """The nominal amounts of columns 0 and 1."""
        return (self.nominal0, self.nominal1)


cdef class Kernel:
    """One question about a row."""

    cdef int64_t value(self, Py_ssize_t row) noexcept:
        return 0

    def at(self, Py_ssize_t row):
        """The answer for one row."""
        if row < 0 or row >= self.rows.count_N.shape[0]:
            raise IndexError(f"row {row} of {self.rows.count_N.shape[0]}")
        return self.value(row)

    def evaluate(self, const int64_t[::1] rows, int64_t[::1] out):
        """Write the answers for ``rows`` into ``out``, both of the same length."""
        cdef Py_ssize_t index
        cdef Py_ssize_t count = self.rows.count_N.shape[0]
        if rows.shape[0] != out.shape[0]:
            raise ValueError(f"out: {out.shape[0]} places for {rows.shape[0]} rows")
        for index in range(rows.shape[0]):
            if rows[index] < 0 or rows[index] >= count:
                raise IndexError(f"row {rows[index]} of {count}")
            out[index] = self.value(rows[index])


cdef class ArrayKernel(Kernel):
    """What an array says, which somebody else keeps up to date (int64, N)."""

    def __init__(self, Rows rows not None, values_N):
        self.rows = rows
        self.values_N = values_N
        if self.values_N.shape[0] < rows.count_N.shape[0]:
            raise ValueError(f"values_N: {self.values_N.shape[0]} places for {rows.count_N.shape[0]} rows")

    cdef int64_t value(self, Py_ssize_t row) noexcept:
        return self.values_N[row]


cdef class FitKernel(Kernel):
    """0 when the demand fits the row; otherwise one bit per reason."""

    def __init__(self, Rows rows not None, Demand demand not None):
        self.rows = rows
        self.demand = demand

    cdef int64_t value(self, Py_ssize_t row) noexcept:
        cdef int64_t code = 0
        cdef int64_t amount, allocatable
        cdef Py_ssize_t index, column
        cdef Rows rows = self.rows
        cdef Demand demand = self.demand
        if rows.count_N[row] + 1 > rows.count_max_N[row]:
            code = (<int64_t> 1) << NO_PLACE_BIT
        for index in range(demand.size):
            column = demand.columns[index]
            amount = demand.amounts[index]
            allocatable = rows.allocatable_NR[row, column]
            if amount > allocatable - rows.used_NR[row, column]:
                code |= (<int64_t> 1) << (SHORTAGE_BIT + index)
                if amount > allocatable:
                    code |= (<int64_t> 1) << NEVER_BIT
        return code


cdef class ResourceKernel(Kernel):
    """What both scores of resources share: the columns to look at, the requests, and where the use of each is kept."""

    def __cinit__(self, Rows rows not None, columns, requests, weights, nominal, *_, **__):
        self.rows = rows
        self.size = len(columns)
        if not len(requests) == len(weights) == len(nominal) == self.size:
            raise ValueError("columns, requests, weights and nominal must have one length")
        self.columns = _copy(columns)
        self.requests = _copy(requests)
        self.weights = _copy(weights)
        self.nominal = _copy(nominal)

    def __dealloc__(self):
        free(self.columns)
        free(self.requests)
        free(self.weights)
        free(self.nominal)


cdef class AllocationKernel(ResourceKernel):
    """Upstream's LeastAllocated, MostAllocated and RequestedToCapacityRatio: the weighted mean of a score per resource.

    ``shape`` (RATIO only): points (utilization 0..100, score 0..100), utilization ascending.
    """

    def __cinit__(self, Rows rows not None, columns, requests, weights, nominal, int strategy=LEAST_ALLOCATED, shape=()):
        self.strategy = strategy
        self.shape_size = len(shape)
        if strategy == CAPACITY_RATIO and not shape:
            raise ValueError("shape: must have at least one point")
        self.shape_x = _copy([x for x, _ in shape])
        self.shape_y = _copy([y for _, y in shape])

    def __dealloc__(self):
        free(self.shape_x)
        free(self.shape_y)

    cdef int64_t ratio_score(self, int64_t utilization) noexcept:
        # Piecewise linear in ints: y0 + (y1 - y0) * (u - x0) / (x1 - x0), truncated towards zero as Go does.
        cdef Py_ssize_t index
        cdef int64_t rise, run, step
        for index in range(self.shape_size):
            if utilization <= self.shape_x[index]:
                if index == 0:
                    return self.shape_y[0]
                rise = self.shape_y[index] - self.shape_y[index - 1]
                run = self.shape_x[index] - self.shape_x[index - 1]
                step = utilization - self.shape_x[index - 1]
                # Both divisions are of non-negative numbers: the same with Python's and with C's rounding.
                return self.shape_y[index - 1] + (rise * step // run if rise >= 0 else -(-rise * step // run))
        return self.shape_y[self.shape_size - 1]

    cdef int64_t value(self, Py_ssize_t row) noexcept:
        # LEAST: (alloc - req) * 100 / alloc; MOST: min(req, alloc) * 100 / alloc; RATIO: shape(req * 100 / alloc), zeros left out.
        cdef int64_t score, allocatable, requested
        cdef int64_t score_sum = 0
        cdef int64_t weight_sum = 0
        cdef Py_ssize_t index, column
        cdef Rows rows = self.rows
        for index in range(self.size):
            column = self.columns[index]
            allocatable = rows.allocatable_NR[row, column]
            if allocatable == 0:
                continue
            if self.nominal[index] >= 0:
                requested = rows.nominal_used_N2[row, self.nominal[index]] + self.requests[index]
            else:
                requested = rows.used_NR[row, column] + self.requests[index]
            if self.strategy == LEAST_ALLOCATED:
                score = 0 if requested > allocatable else (allocatable - requested) * SCORE_MAX // allocatable
            elif self.strategy == MOST_ALLOCATED:
                score = (allocatable if requested > allocatable else requested) * SCORE_MAX // allocatable
            else:
                score = self.ratio_score(SCORE_MAX if requested > allocatable else requested * SCORE_MAX // allocatable)
                if score == 0:
                    continue
            score_sum += score * self.weights[index]
            weight_sum += self.weights[index]
        if weight_sum == 0:
            return 0
        if self.strategy == CAPACITY_RATIO:
            return (2 * score_sum + weight_sum) // (2 * weight_sum)  # rounds half away from zero
        return score_sum // weight_sum


cdef class BalanceKernel(ResourceKernel):
    """Upstream's NodeResourcesBalancedAllocation: does the taker make the fractions of use more alike?"""

    def __cinit__(self, Rows rows not None, columns, requests, weights, nominal):
        self.fractions = <double *> malloc((self.size + 1) * sizeof(double))
        if not self.fractions:
            raise MemoryError()

    def __dealloc__(self):
        free(self.fractions)

    cdef int64_t balance(self, Py_ssize_t row, bint with_request) noexcept:
        # fraction = min(1, req / alloc); deviation: |f0 - f1| / 2 of two, the population's of more; trunc((1 - deviation) * 100)
        cdef Py_ssize_t index
        cdef Py_ssize_t count = 0
        cdef int64_t allocatable, requested
        cdef double fraction, mean
        cdef double total = 0.0
        cdef double deviation = 0.0
        cdef Rows rows = self.rows
        for index in range(self.size):
            allocatable = rows.allocatable_NR[row, self.columns[index]]
            if allocatable == 0:
                continue
            requested = rows.used_NR[row, self.columns[index]]
            if with_request:
                requested += self.requests[index]
            fraction = <double> requested / <double> allocatable
            self.fractions[count] = 1.0 if fraction > 1.0 else fraction
            total += self.fractions[count]
            count += 1
        if count == 2:
            deviation = fabs((self.fractions[0] - self.fractions[1]) / 2.0)
        elif count > 2:
            mean = total / <double> count
            for index in range(count):
                deviation += (self.fractions[index] - mean) * (self.fractions[index] - mean)
            deviation = sqrt(deviation / <double> count)
        return <int64_t> ((1.0 - deviation) * <double> SCORE_MAX)

    cdef int64_t value(self, Py_ssize_t row) noexcept:
        # 50 + (50 + S_after - S_before) / 2
        return SCORE_MAX // 2 + (SCORE_MAX // 2 + self.balance(row, True) - self.balance(row, False)) // 2


cdef class Chain:
    """A row's own value: negative when it is closed or a filter says so, else ``base + sum(weight * score)``. Groups add theirs.

    ``open_N`` (uint8) and ``base_N`` (int64) belong to the caller and hold what does not come from kernels.
    """

    def __cinit__(self, Ranking ranking not None, filters, scorers, weights, open_N, base_N, Groups groups=None):
        self.ranking = ranking
        self.groups = groups
        if groups is not None and groups.ranking is not ranking:
            raise ValueError("groups: must be of the same ranking")
        self.filters = list(filters)
        self.scorers = list(scorers)
        for kernel in self.filters + self.scorers:
            if not isinstance(kernel, Kernel):
                raise TypeError(f"a chain is made of kernels, got {type(kernel).__name__}")
        if len(weights) != len(self.scorers):
            raise ValueError(f"weights: {len(weights)} for {len(self.scorers)} scorers")
        self.weights = _copy(weights)
        self.points = <int64_t *> calloc(ranking.size + 1, sizeof(int64_t))
        if not self.points:
            raise MemoryError()
        self.open_N = open_N
        self.base_N = base_N
        if self.open_N.shape[0] < ranking.size or self.base_N.shape[0] < ranking.size:
            raise ValueError(f"open_N and base_N must have {ranking.size} rows")

    def __dealloc__(self):
        free(self.weights)
        free(self.points)

    cdef int64_t total(self, Py_ssize_t row) noexcept:
        cdef Py_ssize_t index
        cdef int64_t total
        if not self.open_N[row]:
            return -1
        for index in range(len(self.filters)):
            if (<Kernel> self.filters[index]).value(row) != 0:
                return -1
        total = 0
        for index in range(len(self.scorers)):
            total += self.weights[index] * (<Kernel> self.scorers[index]).value(row)
        self.points[row] = total
        return self.base_N[row] + total

    cdef int ask(self, Py_ssize_t row) except -1:
        """Ask again about a row that changed."""
        cdef int64_t value = self.total(row)
        if self.groups is not None:
            self.groups.update(row)
            if (value < 0) != (self.ranking.values[row] < 0):
                self.groups.is_stale = True
        self.ranking.put(row, value)
        return 0

    def refresh(self, list rows, Py_ssize_t start=0):
        """Ask again about ``rows[start:]``. O(number of rows)."""
        cdef Py_ssize_t index
        for index in range(start, len(rows)):
            self.ranking.expect(rows[index])
            self.ask(rows[index])

    def refresh_all(self):
        """Ask again about every row; O(N)."""
        cdef Py_ssize_t row
        for row in range(self.ranking.size):
            self.ask(row)

    def rebase(self):
        """Take in a new base for every row, when nothing else changed: no kernel is asked. O(N)."""
        cdef Py_ssize_t row, block
        for row in range(self.ranking.size):
            if self.ranking.values[row] >= 0:
                self.ranking.values[row] = self.base_N[row] + self.points[row]
        for block in range(self.ranking.block_count):
            self.ranking.rescan(block)

    def settle(self):
        """Bring what groups add up to date: needed after ``refresh`` and before the ranking is read."""
        if self.groups is not None:
            self.groups.settle()

    def place(self, Rows rows not None, Demand demand not None, counts, Py_ssize_t taker_count, Stream stream=None):
        """Choose rows for equal takers, one after the other; each takes its demand before the next one chooses. The rows, in order.

        ``counts`` are arrays (int64, N) that count takers of this kind. Stops early when no row may be chosen. Among equals ``stream``
        draws; without it the first is taken. O(what one placement changes) each.
        """
        cdef Py_ssize_t index, ties, row, which
        cdef Py_ssize_t count_count = len(counts)
        cdef int64_t best
        cdef int64_t[::1] count_N
        cdef int64_t **arrays = <int64_t **> malloc((count_count + 1) * sizeof(int64_t *))
        cdef list chosen = []
        if not arrays:
            raise MemoryError()
        try:
            for index in range(count_count):
                count_N = counts[index]
                if count_N.shape[0] < self.ranking.size:
                    raise ValueError(f"counts: {count_N.shape[0]} places for {self.ranking.size} rows")
                arrays[index] = &count_N[0] if count_N.shape[0] else NULL
            for index in range(taker_count):
                self.settle()
                ties = self.ranking.count_best(&best)
                if ties == 0:
                    break
                which = <Py_ssize_t> stream.draw_below(ties) if stream is not None and ties > 1 else 0
                row = self.ranking.row_of_best(best, which)
                rows.take(row, demand, 1)
                for which in range(count_count):
                    arrays[which][row] += 1
                self.ask(row)
                chosen.append(row)
        finally:
            free(arrays)
        return chosen
