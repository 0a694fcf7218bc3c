"""Rows and their totals: who has the highest, how many share it, and which is the k-th of those.

A total is an int64, negative for a row that may not be chosen. Rows lie in blocks of 64; each block knows its best total and how
many rows have it, so that a change costs at most one block and a choice one look at every block: N/64 + 64 steps in place of N.
"""

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc

cdef enum:
    BLOCK_BITS = 6
    BLOCK_ROWS = 64


cdef class Ranking:
    """The totals of ``size`` rows, all negative at first."""

    def __cinit__(self, Py_ssize_t size):
        if size < 0:
            raise ValueError(f"size: must not be negative, got {size}")
        self.size = size
        self.block_count = (size + BLOCK_ROWS - 1) >> BLOCK_BITS
        self.values = <int64_t *> malloc((size + 1) * sizeof(int64_t))
        self.block_best = <int64_t *> malloc((self.block_count + 1) * sizeof(int64_t))
        self.block_ties = <int32_t *> malloc((self.block_count + 1) * sizeof(int32_t))
        if not self.values or not self.block_best or not self.block_ties:
            raise MemoryError()
        self.clear()

    def __dealloc__(self):
        free(self.values)
        free(self.block_best)
        free(self.block_ties)

    def __len__(self):
        return self.size

    def __getitem__(self, Py_ssize_t row):
        """The total of a row."""
        if row < 0 or row >= self.size:
            raise IndexError(f"row {row} of {self.size}")
        return self.values[row]

    def __setitem__(self, Py_ssize_t row, int64_t total):
        """Set the total of a row; O(64)."""
        if row < 0 or row >= self.size:
            raise IndexError(f"row {row} of {self.size}")
        self.put(row, total)

    def clear(self):
        """Make every total negative; O(N)."""
        cdef Py_ssize_t row
        cdef Py_ssize_t block
        for row in range(self.size):
            self.values[row] = -1
        for block in range(self.block_count):
            self.rescan(block)
        self.candidate_count = 0

    def load(self, const int64_t[::1] totals_N):
        """Replace the totals of the first ``len(totals_N)`` rows; the others become negative. O(N)."""
        cdef Py_ssize_t row
        cdef Py_ssize_t block
        cdef Py_ssize_t count = totals_N.shape[0]
        cdef Py_ssize_t candidates = 0
        if count > self.size:
            raise ValueError(f"totals_N: {count} totals for {self.size} rows")
        for row in range(count):
            self.values[row] = totals_N[row]
            candidates += totals_N[row] >= 0
        for row in range(count, self.size):
            self.values[row] = -1
        for block in range(self.block_count):
            self.rescan(block)
        self.candidate_count = candidates

    def read(self, int64_t[::1] totals_N):
        """Copy the first totals into ``totals_N``; O(N)."""
        cdef Py_ssize_t row
        if totals_N.shape[0] > self.size:
            raise ValueError(f"totals_N: {totals_N.shape[0]} places for {self.size} rows")
        for row in range(totals_N.shape[0]):
            totals_N[row] = self.values[row]

    cdef void put(self, Py_ssize_t row, int64_t total) noexcept:
        """Set a total; O(1), or one block when its only best row went down."""
        cdef Py_ssize_t block = row >> BLOCK_BITS
        cdef int64_t old = self.values[row]
        if old == total:
            return
        self.values[row] = total
        self.candidate_count += (total >= 0) - (old >= 0)
        if total > self.block_best[block]:
            self.block_best[block] = total
            self.block_ties[block] = 1
        elif total == self.block_best[block]:
            self.block_ties[block] += 1
        elif old == self.block_best[block]:
            self.block_ties[block] -= 1
            if self.block_ties[block] == 0:
                self.rescan(block)

    cdef void rescan(self, Py_ssize_t block) noexcept:
        """Find the best of a block again."""
        cdef Py_ssize_t row = block << BLOCK_BITS
        cdef Py_ssize_t end = min(row + BLOCK_ROWS, self.size)
        cdef int64_t best = self.values[row]
        cdef int32_t ties = 0
        while row < end:
            if self.values[row] > best:
                best = self.values[row]
                ties = 1
            elif self.values[row] == best:
                ties += 1
            row += 1
        self.block_best[block] = best
        self.block_ties[block] = ties

    cpdef int64_t best(self) noexcept:
        """The highest total, negative when no row may be chosen; O(N/64)."""
        cdef int64_t best = -1
        cdef Py_ssize_t block
        for block in range(self.block_count):
            if self.block_best[block] > best:
                best = self.block_best[block]
        return best

    cpdef Py_ssize_t ties(self) noexcept:
        """How many rows have the highest total; 0 when no row may be chosen. O(N/64)."""
        cdef int64_t best = self.best()
        cdef Py_ssize_t ties = 0
        cdef Py_ssize_t block
        if best < 0:
            return 0
        for block in range(self.block_count):
            if self.block_best[block] == best:
                ties += self.block_ties[block]
        return ties

    cpdef Py_ssize_t row_at(self, Py_ssize_t index) except -1:
        """The row that is ``index``-th among those with the highest total, in row order; O(N/64 + 64).

        Raises:
            IndexError: if there are not that many.
        """
        cdef int64_t best = self.best()
        cdef Py_ssize_t block, row
        cdef Py_ssize_t left = index
        if best >= 0 and index >= 0:
            for block in range(self.block_count):
                if self.block_best[block] != best:
                    continue
                if left >= self.block_ties[block]:
                    left -= self.block_ties[block]
                    continue
                row = block << BLOCK_BITS
                while True:
                    if self.values[row] == best:
                        if left == 0:
                            return row
                        left -= 1
                    row += 1
        raise IndexError(f"row {index} of {self.ties()} with the highest total")

    def check(self):
        """Verify every block against its rows. Raises AssertionError."""
        cdef Py_ssize_t block
        candidates = sum(self.values[row] >= 0 for row in range(self.size))
        assert self.candidate_count == candidates, (self.candidate_count, candidates)
        for block in range(self.block_count):
            values = [self.values[row] for row in range(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, self.size))]
            assert self.block_best[block] == max(values), (block, self.block_best[block], values)
            assert self.block_ties[block] == values.count(max(values)), (block, self.block_ties[block], values)
