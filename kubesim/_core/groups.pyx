"""Groups of rows that every count per domain treats alike, so that a moved count costs its groups in place of all rows.

A ``Tally`` counts takers per domain of the rows (a domain is a number per row) and follows the counts per row by difference. Rows with
equal keys in all parts are a group. ``GroupFilter`` closes groups and ``GroupScore`` gives them points, from the counts alone: what it
takes to find the lowest and the highest raw score, which the points of all rows depend on, is a look at every group. ``Groups`` writes the
outcome into a ``Ranking``, whose rows add what is their own.

Where a domain has many rows (few domains), the key is the domain; where it has one (many domains), the key is the count itself: few
groups either way, and at worst one per row. Key: P parts, V domains of a tally (0: none), N rows.

The plain twins are the vectorised plugins (``kubesim/scheduler/plugins``), compared in ``SignatureState.check``.
"""

from libc.math cimport floor, log
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from kubesim._core.ranking cimport Ranking

cdef enum:
    SCORE_MAX = 100
    ABSENT = -1                 # the count of a row that is in no domain
    IGNORED = -1                # the raw score of a group that does not take part
    COUNTS_FIRST = 16
    GROUPS_FIRST = 8
    PARTS_MAX = 64


cdef class Part:
    """One of the things that make a row's group."""

    cdef int64_t key(self, Py_ssize_t row) noexcept:
        return 0

    cdef int64_t count(self, int64_t key) noexcept:
        return key

    cdef int update(self, Py_ssize_t row) except -1:
        """Take in a change of a row; whether any count moved."""
        return 0


cdef class Fixed(Part):
    """A number per row; its count is itself. ``values_N`` belongs to the caller, who says ``regroup`` when it changed one."""

    def __init__(self, values_N):
        self.values_N = values_N
        self.row_count = self.values_N.shape[0]

    cdef int64_t key(self, Py_ssize_t row) noexcept:
        return self.values_N[row]


cdef class Tally(Part):
    """Takers per domain. ``cap``: counts from there on make no difference (only used where no domain has two rows).

    ``ids_N`` (int32), ``count_N`` (int64) and ``counted_N`` (uint8) belong to the caller; only ``count_N`` may change.
    """

    def __cinit__(self, ids_N, count_N, counted_N, bint is_single=False, int64_t cap=2**62):
        cdef Py_ssize_t row
        self.ids_N = ids_N
        self.count_N = count_N
        self.counted_N = counted_N
        if self.count_N.shape[0] < self.ids_N.shape[0] or self.counted_N.shape[0] < self.ids_N.shape[0]:
            raise ValueError(f"count_N and counted_N must have {self.ids_N.shape[0]} rows")
        self.row_count = self.ids_N.shape[0]
        self.is_single = is_single
        self.cap = cap
        self.value_count = 1
        for row in range(self.ids_N.shape[0]):
            if self.ids_N[row] < 0:
                raise ValueError(f"ids_N: must not be negative, got {self.ids_N[row]} of row {row}")
            self.value_count = max(self.value_count, self.ids_N[row] + 1)
        self.count_capacity = COUNTS_FIRST
        self.seen_N = <int64_t *> calloc(self.ids_N.shape[0] + 1, sizeof(int64_t))
        self.count_V = <int64_t *> calloc(self.value_count, sizeof(int64_t))
        self.counted_V = <uint8_t *> calloc(self.value_count, sizeof(uint8_t))
        self.stamp_V = <int64_t *> calloc(self.value_count, sizeof(int64_t))
        self.domains_of_count = <int64_t *> calloc(COUNTS_FIRST, sizeof(int64_t))
        if not self.stamp_V:
            raise MemoryError()
        if not self.seen_N or not self.count_V or not self.counted_V or not self.domains_of_count:
            raise MemoryError()
        for row in range(self.ids_N.shape[0]):
            if self.ids_N[row] and self.counted_N[row]:
                self.domain_count += not self.counted_V[self.ids_N[row]]
                self.counted_V[self.ids_N[row]] = 1
        self.domains_of_count[0] = self.domain_count
        for row in range(self.ids_N.shape[0]):
            self.update(row)

    def __dealloc__(self):
        free(self.seen_N)
        free(self.count_V)
        free(self.counted_V)
        free(self.stamp_V)
        free(self.domains_of_count)

    cdef int64_t key(self, Py_ssize_t row) noexcept:
        cdef int32_t domain = self.ids_N[row]
        if not self.is_single:
            return domain
        return ABSENT if domain == 0 else min(self.count_V[domain], self.cap)

    cdef int64_t count(self, int64_t key) noexcept:
        if self.is_single:
            return key
        return ABSENT if key == 0 else self.count_V[key]

    cdef bint is_first(self, int64_t domain) noexcept:
        """Whether a domain is met for the first time with this stamp."""
        if self.stamp_V[domain] == self.stamp:
            return False
        self.stamp_V[domain] = self.stamp
        return True

    cdef int update(self, Py_ssize_t row) except -1:
        cdef int64_t delta = self.count_N[row] - self.seen_N[row]
        if delta == 0:
            return 0
        self.seen_N[row] += delta
        if self.ids_N[row] == 0 or not self.counted_N[row]:
            return 0
        self.shift(self.ids_N[row], delta)
        return 1

    cdef int shift(self, Py_ssize_t domain, int64_t delta) except -1:
        cdef int64_t old = self.count_V[domain]
        cdef int64_t new = old + delta
        if new >= self.count_capacity:
            self.grow_counts(new)
        self.total += delta
        self.count_V[domain] = new
        self.domains_of_count[old] -= 1
        self.domains_of_count[new] += 1
        if new < self.minimum:
            self.minimum = new
        elif old == self.minimum:
            while self.domains_of_count[self.minimum] == 0:
                self.minimum += 1
        return 0

    cdef int grow_counts(self, int64_t count) except -1:
        cdef Py_ssize_t capacity = max(count + 1, self.count_capacity * 2)
        cdef int64_t *grown = <int64_t *> realloc(self.domains_of_count, capacity * sizeof(int64_t))
        if not grown:
            raise MemoryError()
        memset(grown + self.count_capacity, 0, (capacity - self.count_capacity) * sizeof(int64_t))
        self.domains_of_count = grown
        self.count_capacity = capacity
        return 0

    def counts(self):
        """Takers of each domain, from domain 0 on (always 0)."""
        return [self.count_V[domain] for domain in range(self.value_count)]

    def follow(self, Py_ssize_t row):
        """Take in a change of ``count_N`` in a row. O(1), amortized over the counts."""
        if row < 0 or row >= self.ids_N.shape[0]:
            raise IndexError(f"row {row} of {self.ids_N.shape[0]}")
        self.update(row)


cdef class GroupFilter:
    """Closes groups by their counts; ``parts`` are the numbers of the parts that it looks at."""

    def __cinit__(self, parts, *_, **__):
        self.parts = [int(part) for part in parts]

    cdef void prepare(self, Groups groups) noexcept:
        pass

    cdef bint closes(self, const int64_t *counts) noexcept:
        return False


cdef class Empty(GroupFilter):
    """Only where no taker is, in any of the parts' domains."""

    cdef bint closes(self, const int64_t *counts) noexcept:
        cdef Py_ssize_t index, part
        for index in range(len(self.parts)):
            part = self.parts[index]
            if counts[part] > 0:
                return True
        return False


cdef class Together(GroupFilter):
    """Only in domains of every part, with takers in all; with ``may_begin`` also where nobody is anywhere."""

    cdef bint may_begin
    cdef bint begins

    def __init__(self, parts, bint may_begin):
        self.may_begin = may_begin

    cdef void prepare(self, Groups groups) noexcept:
        cdef Py_ssize_t index, part
        self.begins = self.may_begin
        for index in range(len(self.parts)):
            part = self.parts[index]
            if (<Tally> groups.parts[part]).total:
                self.begins = False

    cdef bint closes(self, const int64_t *counts) noexcept:
        cdef Py_ssize_t index, part
        cdef bint is_empty = False
        for index in range(len(self.parts)):
            part = self.parts[index]
            if counts[part] < 0:
                return True
            is_empty = is_empty or counts[part] == 0
        return is_empty and not self.begins


cdef class Skew(GroupFilter):
    """Only in domains that, with ``own`` more takers, have at most ``skew_max`` more than the emptiest counted domain.

    With fewer counted domains than ``domain_count_min`` the emptiest has none.
    """

    cdef int64_t own
    cdef int64_t skew_max
    cdef Py_ssize_t domain_count_min
    cdef Py_ssize_t part
    cdef int64_t count_max

    def __init__(self, parts, int64_t own, int64_t skew_max, Py_ssize_t domain_count_min):
        (self.part,) = self.parts
        self.own = own
        self.skew_max = skew_max
        self.domain_count_min = domain_count_min

    cdef void prepare(self, Groups groups) noexcept:
        cdef Tally tally = <Tally> groups.parts[self.part]
        self.count_max = self.skew_max - self.own
        if tally.domain_count and tally.domain_count >= self.domain_count_min:
            self.count_max += tally.minimum

    cdef bint closes(self, const int64_t *counts) noexcept:
        return counts[self.part] < 0 or counts[self.part] > self.count_max


cdef class GroupScore:
    """Gives points to the live groups; ``weight`` times 0 to 100."""

    def __cinit__(self, int64_t weight, *_, **__):
        self.weight = weight

    cdef void add(self, Groups groups) noexcept:
        pass


cdef class Attraction(GroupScore):
    """``sum(pull * count)``, normalized: trunc(100 * (raw - min) / (max - min)) in float64, 0 for all when they are equal."""

    cdef list parts
    cdef list pulls

    def __init__(self, int64_t weight, parts, pulls):
        self.parts = [int(part) for part in parts]
        self.pulls = [int(pull) for pull in pulls]
        if len(self.parts) != len(self.pulls):
            raise ValueError(f"pulls: {len(self.pulls)} for {len(self.parts)} parts")

    cdef void add(self, Groups groups) noexcept:
        cdef Py_ssize_t index, live, group, part
        cdef int64_t raw, pull, count
        cdef int64_t lowest = 0
        cdef int64_t highest = 0
        for live in range(groups.live_count):
            group = groups.live[live]
            raw = 0
            for index in range(len(self.parts)):
                part = self.parts[index]
                pull = self.pulls[index]
                count = groups.counts[group * groups.part_count + part]
                if count > 0:
                    raw += pull * count
            groups.raws[group] = raw
            if live == 0 or raw < lowest:
                lowest = raw
            if live == 0 or raw > highest:
                highest = raw
        if lowest == highest:
            return
        for live in range(groups.live_count):
            group = groups.live[live]
            groups.sums[group] += self.weight * <int64_t> (
                <double> SCORE_MAX * (<double> (groups.raws[group] - lowest) / <double> (highest - lowest))
            )


cdef class Evenness(GroupScore):
    """The fewer takers in the domains, the better: raw is ``sum(count * ln(size + 2) + slack)``, rounded half away from zero.

    ``size`` is how many domains the live rows have; where no domain has two rows, how many rows. Normalized: 100 * (max + min - raw) / max,
    100 for all when max is 0. ``needs_all``: a row that lacks a domain gets 0 and counts for nothing.
    """

    cdef list parts
    cdef list slacks
    cdef bint needs_all

    def __init__(self, int64_t weight, parts, slacks, bint needs_all):
        self.parts = [int(part) for part in parts]
        self.slacks = [float(slack) for slack in slacks]
        self.needs_all = needs_all
        if len(self.parts) != len(self.slacks):
            raise ValueError(f"slacks: {len(self.slacks)} for {len(self.parts)} parts")
        if len(self.parts) > PARTS_MAX:
            raise ValueError(f"parts: at most {PARTS_MAX}, got {len(self.parts)}")

    cdef bint takes_part(self, Groups groups, Py_ssize_t group) noexcept:
        cdef Py_ssize_t index, part
        for index in range(len(self.parts)) if self.needs_all else ():
            part = self.parts[index]
            if groups.counts[group * groups.part_count + part] < 0:
                return False
        return True

    cdef Py_ssize_t size_of(self, Groups groups, Py_ssize_t part) noexcept:
        """How many domains of a part the live rows have."""
        cdef Py_ssize_t live, group
        cdef Py_ssize_t size = 0
        cdef Tally tally = <Tally> groups.parts[part]
        tally.stamp += 1
        for live in range(groups.live_count):
            group = groups.live[live]
            if groups.raws[group] == IGNORED:
                continue
            if tally.is_single:
                size += groups.ranking.open_counts[group]
            else:
                size += tally.is_first(groups.keys[group * groups.part_count + part])
        return size

    cdef void add(self, Groups groups) noexcept:
        cdef Py_ssize_t index, live, group, part
        cdef int64_t raw, count
        cdef int64_t lowest = 0
        cdef int64_t highest = -1
        cdef double total, whole, slack
        cdef double pull[PARTS_MAX]
        for live in range(groups.live_count):
            group = groups.live[live]
            groups.raws[group] = 0 if self.takes_part(groups, group) else IGNORED
        for index in range(len(self.parts)):
            part = self.parts[index]
            pull[index] = log(<double> (self.size_of(groups, part) + 2))
        for live in range(groups.live_count):
            group = groups.live[live]
            if groups.raws[group] == IGNORED:
                continue
            total = 0.0
            for index in range(len(self.parts)):
                part = self.parts[index]
                slack = self.slacks[index]
                count = groups.counts[group * groups.part_count + part]
                if count >= 0:
                    total = total + (<double> count * pull[index] + slack)
            whole = floor(total)
            raw = <int64_t> whole + (total - whole >= 0.5)
            groups.raws[group] = raw
            if highest < 0 or raw < lowest:
                lowest = raw
            if raw > highest:
                highest = raw
        if highest < 0:
            return
        for live in range(groups.live_count):
            group = groups.live[live]
            if groups.raws[group] != IGNORED:
                groups.sums[group] += self.weight * (
                    SCORE_MAX if highest == 0 else SCORE_MAX * (highest + lowest - groups.raws[group]) // highest
                )


cdef class Share(GroupScore):
    """100 * count / max, all 0 when max is 0; reversed: 100 less that. ``part`` is a ``Fixed`` one of numbers from 0 on."""

    cdef Py_ssize_t part
    cdef bint is_reversed

    def __init__(self, int64_t weight, Py_ssize_t part, bint is_reversed):
        self.part = part
        self.is_reversed = is_reversed

    cdef void add(self, Groups groups) noexcept:
        cdef Py_ssize_t live, group
        cdef int64_t share
        cdef int64_t highest = 0
        for live in range(groups.live_count):
            highest = max(highest, groups.counts[groups.live[live] * groups.part_count + self.part])
        for live in range(groups.live_count):
            group = groups.live[live]
            share = SCORE_MAX * groups.counts[group * groups.part_count + self.part] // highest if highest else 0
            groups.sums[group] += self.weight * (SCORE_MAX - share if self.is_reversed else share)


cdef class Groups:
    """The groups of a ranking's rows; best made while all rows are closed. The parts must know as many rows."""

    def __cinit__(self, Ranking ranking not None, parts, filters, scores):
        cdef Py_ssize_t row
        self.ranking = ranking
        self.parts = list(parts)
        self.filters = list(filters)
        self.scores = list(scores)
        for kind, things in ((Part, self.parts), (GroupFilter, self.filters), (GroupScore, self.scores)):
            for thing in things:
                if not isinstance(thing, kind):
                    raise TypeError(f"groups: expected a {kind.__name__}, got {type(thing).__name__}")
        self.part_count = len(self.parts)
        for part in self.parts:
            if part.row_count < ranking.size:
                raise ValueError(f"parts: one has {part.row_count} rows, the ranking {ranking.size}")
        self.group_of_key = {}
        self.key_of_group = []
        self.free_groups = []
        self.capacity = 0
        self.reserve(GROUPS_FIRST)
        self.is_stale = True
        for row in range(ranking.size):
            self.place(row)

    def __dealloc__(self):
        free(self.keys)
        free(self.counts)
        free(self.raws)
        free(self.sums)
        free(self.live)

    def regroup(self, Py_ssize_t row):
        """Take in whatever changed of a row. O(parts)."""
        self.ranking.expect(row)
        self.update(row)

    def evaluate(self):
        """Write into the ranking what each group adds, when anything moved since the last time. O(groups * parts)."""
        self.settle()

    cdef int reserve(self, Py_ssize_t count) except -1:
        """Room for so many groups."""
        cdef Py_ssize_t capacity = max(count, self.capacity * 2)
        cdef void *grown
        if count <= self.capacity:
            return 0
        grown = realloc(self.keys, (capacity * self.part_count + 1) * sizeof(int64_t))
        if not grown:
            raise MemoryError()
        self.keys = <int64_t *> grown
        grown = realloc(self.counts, (capacity * self.part_count + 1) * sizeof(int64_t))
        if not grown:
            raise MemoryError()
        self.counts = <int64_t *> grown
        grown = realloc(self.raws, capacity * sizeof(int64_t))
        if not grown:
            raise MemoryError()
        self.raws = <int64_t *> grown
        grown = realloc(self.sums, capacity * sizeof(int64_t))
        if not grown:
            raise MemoryError()
        self.sums = <int64_t *> grown
        grown = realloc(self.live, capacity * sizeof(Py_ssize_t))
        if not grown:
            raise MemoryError()
        self.live = <Py_ssize_t *> grown
        self.capacity = capacity
        return 0

    cdef int update(self, Py_ssize_t row) except -1:
        """Tallies first, then the row's group. Other rows keep theirs: a count that others share is no part of their keys."""
        cdef Py_ssize_t index
        cdef Py_ssize_t group = self.ranking.group_of[row]
        for index in range(self.part_count):
            if (<Part> self.parts[index]).update(row):
                self.is_stale = True
        for index in range(self.part_count):
            if (<Part> self.parts[index]).key(row) != self.keys[group * self.part_count + index]:
                return self.place(row)
        return 0

    cdef int place(self, Py_ssize_t row) except -1:
        """Put a row where its keys say; a group without rows is given out again."""
        cdef Py_ssize_t index
        cdef Py_ssize_t old = self.ranking.group_of[row]
        key = tuple([(<Part> self.parts[index]).key(row) for index in range(self.part_count)])
        known = self.group_of_key.get(key)
        if known is None:
            known = self.open_group(key)
        self.ranking.move(row, <int32_t> known)
        self.is_stale = True
        if self.ranking.row_counts[old] == 0 and old < len(self.key_of_group) and self.key_of_group[old] is not None:
            del self.group_of_key[self.key_of_group[old]]
            self.key_of_group[old] = None
            self.free_groups.append(old)
        return 0

    def open_group(self, key):
        """A group for a key that has none; its number. Group 0, where all rows of a new ranking are, is left behind."""
        cdef Py_ssize_t index, group
        if self.free_groups:
            group = self.free_groups.pop()
        else:
            group = self.ranking.new_group()
            self.reserve(group + 1)
            while len(self.key_of_group) <= group:
                self.key_of_group.append(None)
        for index in range(self.part_count):
            self.keys[group * self.part_count + index] = key[index]
        self.key_of_group[group] = key
        self.group_of_key[key] = group
        return group

    cdef void settle(self) noexcept:
        cdef Py_ssize_t index, group
        cdef Py_ssize_t part
        cdef Ranking ranking = self.ranking
        cdef bint is_open
        if not self.is_stale:
            return
        self.is_stale = False
        self.live_count = 0
        for index in range(len(self.filters)):
            (<GroupFilter> self.filters[index]).prepare(self)
        for group in range(1, ranking.group_count):
            if ranking.open_counts[group] == 0:
                continue
            for part in range(self.part_count):
                index = group * self.part_count + part
                self.counts[index] = (<Part> self.parts[part]).count(self.keys[index])
            is_open = True
            for index in range(len(self.filters)):
                if (<GroupFilter> self.filters[index]).closes(self.counts + group * self.part_count):
                    is_open = False
                    break
            if is_open:
                self.live[self.live_count] = group
                self.live_count += 1
                self.sums[group] = 0
            else:
                ranking.add_to_group(group, -1)
        for index in range(len(self.scores)):
            (<GroupScore> self.scores[index]).add(self)
        for index in range(self.live_count):
            ranking.add_to_group(self.live[index], self.sums[self.live[index]])

    def check(self):
        """Verify every row's group against its keys. Raises AssertionError."""
        cdef Py_ssize_t index, row
        for row in range(self.ranking.size):
            group = self.ranking.group_of[row]
            if group:
                key = tuple([(<Part> self.parts[index]).key(row) for index in range(self.part_count)])
                assert self.key_of_group[group] == key, (row, group, key, self.key_of_group[group])
                assert self.group_of_key[key] == group, (row, group, key)
        for key, group in self.group_of_key.items():
            assert self.ranking.row_counts[group] > 0, (key, group)
