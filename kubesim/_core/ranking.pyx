"""Rows and their totals: who has the highest, how many share it, and which is the k-th of those.

A row's total is its own value plus what its group adds; a negative one of either keeps the row from being chosen. Rows lie in blocks
of 64; each block knows, for each group that is in it, the best value and how many rows have it. A change of one row costs at most one
block; a change of what groups add costs nothing; a choice looks at the blocks: (N/64) * (groups per block) + 64 steps in place of N.

Without groups every row is in group 0, which adds nothing. The plain twin is a list (tests/scheduler/test_ranking.py).
"""

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc, realloc

cdef enum:
    BLOCK_BITS = 6
    BLOCK_ROWS = 64
    GROUPS_FIRST = 8


cdef class Ranking:
    """The values of ``size`` rows, all negative and in group 0 at first."""

    def __cinit__(self, Py_ssize_t size):
        if size < 0:
            raise ValueError(f"size: must not be negative, got {size}")
        cdef Py_ssize_t row
        self.size = size
        self.block_count = (size + BLOCK_ROWS - 1) >> BLOCK_BITS
        self.values = <int64_t *> malloc((size + 1) * sizeof(int64_t))
        self.group_of = <int32_t *> calloc(size + 1, sizeof(int32_t))
        self.entry_groups = <int32_t *> malloc((self.block_count * BLOCK_ROWS + 1) * sizeof(int32_t))
        self.entry_bests = <int64_t *> malloc((self.block_count * BLOCK_ROWS + 1) * sizeof(int64_t))
        self.entry_ties = <int32_t *> malloc((self.block_count * BLOCK_ROWS + 1) * sizeof(int32_t))
        self.entry_counts = <int32_t *> calloc(self.block_count + 1, sizeof(int32_t))
        self.group_capacity = GROUPS_FIRST
        self.additions = <int64_t *> calloc(GROUPS_FIRST, sizeof(int64_t))
        self.row_counts = <Py_ssize_t *> calloc(GROUPS_FIRST, sizeof(Py_ssize_t))
        self.open_counts = <Py_ssize_t *> calloc(GROUPS_FIRST, sizeof(Py_ssize_t))
        if not self.values or not self.group_of or not self.entry_groups or not self.entry_bests or not self.entry_ties:
            raise MemoryError()
        if not self.entry_counts or not self.additions or not self.row_counts or not self.open_counts:
            raise MemoryError()
        for row in range(size):
            self.values[row] = -1
        self.group_count = 1
        self.row_counts[0] = size

    def __dealloc__(self):
        free(self.values)
        free(self.group_of)
        free(self.entry_groups)
        free(self.entry_bests)
        free(self.entry_ties)
        free(self.entry_counts)
        free(self.additions)
        free(self.row_counts)
        free(self.open_counts)

    def __len__(self):
        return self.size

    def __getitem__(self, Py_ssize_t row):
        """The total of a row, -1 when it may not be chosen."""
        self.expect(row)
        return self.total(row)

    def __setitem__(self, Py_ssize_t row, int64_t value):
        """Set the own value of a row; O(64) at worst."""
        self.expect(row)
        self.put(row, value)

    def add_group(self):
        """A new group, that adds nothing; its number."""
        return self.new_group()

    def join(self, Py_ssize_t row, Py_ssize_t group):
        """Put a row into a group; O(64)."""
        self.expect(row)
        self.expect_group(group)
        self.move(row, <int32_t> group)

    def set_addition(self, Py_ssize_t group, int64_t addition):
        """What a group adds to its rows' values; negative: none of them may be chosen. O(1)."""
        self.expect_group(group)
        self.add_to_group(group, addition)

    def group(self, Py_ssize_t row):
        """The group of a row."""
        self.expect(row)
        return self.group_of[row]

    @property
    def candidate_count(self):
        """How many rows may be chosen; O(groups)."""
        cdef Py_ssize_t group
        cdef Py_ssize_t count = 0
        for group in range(self.group_count):
            if self.additions[group] >= 0:
                count += self.open_counts[group]
        return count

    def read(self, int64_t[::1] totals_N):
        """Copy the first totals into ``totals_N``, -1 for rows that may not be chosen; O(N)."""
        cdef Py_ssize_t row
        if totals_N.shape[0] > self.size:
            raise ValueError(f"totals_N: {totals_N.shape[0]} places for {self.size} rows")
        for row in range(totals_N.shape[0]):
            totals_N[row] = self.total(row)

    def expect(self, Py_ssize_t row):
        """Raises IndexError when there is no such row."""
        if row < 0 or row >= self.size:
            raise IndexError(f"row {row} of {self.size}")

    def expect_group(self, Py_ssize_t group):
        """Raises IndexError when there is no such group."""
        if group < 0 or group >= self.group_count:
            raise IndexError(f"group {group} of {self.group_count}")

    cdef int64_t total(self, Py_ssize_t row) noexcept:
        cdef int64_t addition = self.additions[self.group_of[row]]
        return -1 if self.values[row] < 0 or addition < 0 else self.values[row] + addition

    cdef int32_t new_group(self) except -1:
        cdef Py_ssize_t capacity = self.group_capacity * 2
        cdef void *grown
        if self.group_count == self.group_capacity:
            grown = realloc(self.additions, capacity * sizeof(int64_t))
            if not grown:
                raise MemoryError()
            self.additions = <int64_t *> grown
            grown = realloc(self.row_counts, capacity * sizeof(Py_ssize_t))
            if not grown:
                raise MemoryError()
            self.row_counts = <Py_ssize_t *> grown
            grown = realloc(self.open_counts, capacity * sizeof(Py_ssize_t))
            if not grown:
                raise MemoryError()
            self.open_counts = <Py_ssize_t *> grown
            self.group_capacity = capacity
        self.additions[self.group_count] = 0
        self.row_counts[self.group_count] = 0
        self.open_counts[self.group_count] = 0
        self.group_count += 1
        return <int32_t> (self.group_count - 1)

    cdef void add_to_group(self, Py_ssize_t group, int64_t addition) noexcept:
        if (self.additions[group] < 0) != (addition < 0) and self.open_counts[group]:
            self.feasible_version += 1
        self.additions[group] = addition

    cdef void move(self, Py_ssize_t row, int32_t group) noexcept:
        cdef int32_t old = self.group_of[row]
        if old == group:
            return
        self.group_of[row] = group
        self.row_counts[old] -= 1
        self.row_counts[group] += 1
        if self.values[row] >= 0:
            self.open_counts[old] -= 1
            self.open_counts[group] += 1
            self.feasible_version += (self.additions[old] < 0) != (self.additions[group] < 0)
            self.rescan(row >> BLOCK_BITS)

    cdef void put(self, Py_ssize_t row, int64_t value) noexcept:
        """Set a value; O(groups of its block), or the block when its group's only best row went down."""
        cdef Py_ssize_t block = row >> BLOCK_BITS
        cdef Py_ssize_t entry = block
        cdef Py_ssize_t end = block + self.entry_counts[block] * self.block_count
        cdef int64_t old = self.values[row]
        cdef int32_t group = self.group_of[row]
        if old == value or (old < 0 and value < 0):
            self.values[row] = value
            return
        self.values[row] = value
        if (old < 0) != (value < 0):
            self.open_counts[group] += 1 if value >= 0 else -1
            self.feasible_version += self.additions[group] >= 0
        while entry != end and self.entry_groups[entry] != group:
            entry += self.block_count
        if entry == end:  # only a row that was closed may miss its entry
            self.entry_groups[entry] = group
            self.entry_bests[entry] = value
            self.entry_ties[entry] = 1
            self.entry_counts[block] += 1
        elif value > self.entry_bests[entry]:
            self.entry_bests[entry] = value
            self.entry_ties[entry] = 1
        elif value == self.entry_bests[entry]:
            self.entry_ties[entry] += 1
        elif old == self.entry_bests[entry]:
            self.entry_ties[entry] -= 1
            if self.entry_ties[entry] == 0:
                self.rescan(block)

    cdef void rescan(self, Py_ssize_t block) noexcept:
        """Make the entries of a block again; O(64 * groups in it)."""
        cdef Py_ssize_t row = block << BLOCK_BITS
        cdef Py_ssize_t end = min(row + BLOCK_ROWS, self.size)
        cdef Py_ssize_t entry
        cdef Py_ssize_t entry_end = block
        cdef int32_t group
        cdef int64_t value
        while row < end:
            value = self.values[row]
            if value >= 0:
                group = self.group_of[row]
                entry = block
                while entry != entry_end and self.entry_groups[entry] != group:
                    entry += self.block_count
                if entry == entry_end:
                    self.entry_groups[entry] = group
                    self.entry_bests[entry] = value
                    self.entry_ties[entry] = 1
                    entry_end += self.block_count
                elif value > self.entry_bests[entry]:
                    self.entry_bests[entry] = value
                    self.entry_ties[entry] = 1
                elif value == self.entry_bests[entry]:
                    self.entry_ties[entry] += 1
            row += 1
        self.entry_counts[block] = <int32_t> ((entry_end - block) // self.block_count)

    cdef Py_ssize_t count_best(self, int64_t *best) noexcept:
        """Find the highest total and how many rows have it; -1 and 0 when no row may be chosen."""
        cdef int64_t highest = -1
        cdef int64_t total, addition
        cdef Py_ssize_t ties = 0
        cdef Py_ssize_t block, entry
        cdef int32_t left
        for block in range(self.block_count):
            entry = block
            for left in range(self.entry_counts[block]):
                addition = self.additions[self.entry_groups[entry]]
                total = self.entry_bests[entry] + addition
                if addition >= 0 and total >= highest:
                    if total > highest:
                        highest = total
                        ties = 0
                    ties += self.entry_ties[entry]
                entry += self.block_count
        best[0] = highest
        return ties

    cpdef int64_t best(self) noexcept:
        """The highest total, -1 when no row may be chosen; O(N/64)."""
        cdef int64_t best
        self.count_best(&best)
        return best

    cpdef Py_ssize_t ties(self) noexcept:
        """How many rows have the highest total; 0 when no row may be chosen. O(N/64)."""
        cdef int64_t best
        return self.count_best(&best)

    cpdef Py_ssize_t row_at(self, Py_ssize_t index) except -1:
        """The row that is ``index``-th among those with the highest total, in row order; O(N/64 + 64).

        Raises:
            IndexError: if there are not that many.
        """
        cdef int64_t best
        cdef Py_ssize_t ties = self.count_best(&best)
        if index < 0 or index >= ties:
            raise IndexError(f"row {index} of {ties} with the highest total")
        return self.row_of_best(best, index)

    cdef Py_ssize_t row_of_best(self, int64_t best, Py_ssize_t index) noexcept:
        """The ``index``-th row with this highest total; there must be that many."""
        cdef Py_ssize_t block, entry, row
        cdef Py_ssize_t left = index
        cdef int32_t ties, step
        cdef int64_t addition
        for block in range(self.block_count):
            ties = 0
            entry = block
            for step in range(self.entry_counts[block]):
                addition = self.additions[self.entry_groups[entry]]
                if addition >= 0 and self.entry_bests[entry] + addition == best:
                    ties += self.entry_ties[entry]
                entry += self.block_count
            if left >= ties:
                left -= ties
                continue
            row = block << BLOCK_BITS
            while True:
                if self.total(row) == best:
                    if left == 0:
                        return row
                    left -= 1
                row += 1
        return -1

    def check(self):
        """Verify groups and blocks against the rows. Raises AssertionError."""
        cdef Py_ssize_t block, group
        rows = range(self.size)
        for group in range(self.group_count):
            members = [row for row in rows if self.group_of[row] == group]
            assert self.row_counts[group] == len(members), (group, self.row_counts[group], len(members))
            opened = sum(self.values[row] >= 0 for row in members)
            assert self.open_counts[group] == opened, (group, self.open_counts[group], opened)
        for block in range(self.block_count):
            found = {}
            for row in range(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, self.size)):
                if self.values[row] >= 0:
                    found.setdefault(self.group_of[row], []).append(self.values[row])
            plain = {group: (max(values), values.count(max(values))) for group, values in found.items()}
            entries = [block + index * self.block_count for index in range(self.entry_counts[block])]
            kept = {self.entry_groups[e]: (self.entry_bests[e], self.entry_ties[e]) for e in entries if self.entry_ties[e]}
            assert kept == plain, (block, kept, plain)
