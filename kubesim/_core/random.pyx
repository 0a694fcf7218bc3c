# cython: overflowcheck=False
# Wrapping around at 2^64 is what these generators do; the debug build checks everything else.
"""Seeded random streams: xoshiro256** whose state is SHA-256 of the seed and the stream's name.

It holds the draws a simulation needs and no more. The same (seed, name) gives the same draws on any machine: integers by construction, floats
because only IEEE 754 addition, subtraction, multiplication, division and square root are used, each correctly rounded by the standard.
Logarithms are our own series (libm differs between systems), and the extensions are built with ``-ffp-contract=off`` so that no
compiler fuses a multiplication with an addition.

Sources: Blackman and Vigna, "Scrambled linear pseudorandom number generators" (xoshiro256**); Lemire, "Fast random integer
generation in an interval"; Marsaglia's polar method. The plain twin is in ``tests/kernel/random_twin.py``.
"""

from hashlib import sha256

from cpython.number cimport PyNumber_Index
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_New
from libc.math cimport sqrt
from libc.stdint cimport UINT64_MAX, int64_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    static inline uint64_t kubesim_multiply_high(uint64_t a, uint64_t b, uint64_t *low) {
        unsigned __int128 product = (unsigned __int128)a * b;
        *low = (uint64_t)product;
        return (uint64_t)(product >> 64);
    }
    """
    uint64_t kubesim_multiply_high(uint64_t a, uint64_t b, uint64_t* low) noexcept nogil

cdef enum:
    LOG_TERMS = 12

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"     # upstream's: no vowels, nothing that looks like something else
SUFFIX_LENGTH_MAX = 253

cdef const char* ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
cdef const char* HEX = "0123456789abcdef"
cdef double LN2 = 0.6931471805599453
cdef double TWO_TO_MINUS_53 = 1.0 / 9007199254740992.0
cdef double SQRT_HALF = 0.7071067811865476


cdef inline uint64_t rotate(uint64_t value, int count) noexcept nogil:
    return (value << count) | (value >> (64 - count))


cdef double natural_log(double value) noexcept nogil:
    # For a positive normal value: value = m * 2^k with sqrt(1/2) <= m < sqrt(2), s = (m - 1) / (m + 1), and
    # ln m = 2 * (s + s^3/3 + s^5/5 + ...). With s^2 < 0.0295 twelve terms are below the last bit.
    cdef uint64_t bits
    cdef int k, term
    cdef double m, s, square, total
    memcpy(&bits, &value, 8)
    k = <int>(bits >> 52) - 1022
    bits = (bits & <uint64_t>0x000FFFFFFFFFFFFF) | <uint64_t>0x3FE0000000000000
    memcpy(&m, &bits, 8)        # 1/2 <= m < 1
    if m < SQRT_HALF:
        m = m * 2.0
        k -= 1
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    total = 0.0
    for term in range(LOG_TERMS, -1, -1):
        total = total * square + 1.0 / (2 * term + 1)
    return k * LN2 + 2.0 * s * total


cdef class Stream:
    """One named stream of random numbers; equal (seed, name) give equal draws.

    >>> Stream(1, "pods").u64() == Stream(1, "pods").u64()
    True
    """

    def __cinit__(self, seed, str name not None):
        cdef bytes digest
        cdef int word
        if not isinstance(seed, int):
            raise ValueError(f"seed is {seed!r}; expected an integer")
        digest = sha256(f"{int(seed)}:{name}".encode()).digest()
        for word in range(4):
            self.state[word] = <uint64_t>int.from_bytes(digest[8 * word : 8 * word + 8], "little")
        if not (self.state[0] | self.state[1] | self.state[2] | self.state[3]):
            self.state[0] = 1   # the one state that xoshiro cannot leave
        self.name = name

    cdef inline uint64_t draw(self) noexcept nogil:
        cdef uint64_t* s = self.state
        cdef uint64_t result = rotate(s[1] * 5, 7) * 9
        cdef uint64_t shifted = s[1] << 17
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= shifted
        s[3] = rotate(s[3], 45)
        return result

    cdef inline uint64_t draw_below(self, uint64_t count) noexcept nogil:
        # Lemire: the high word of draw * count, rejecting the few low words that would favour some results. count > 0.
        cdef uint64_t low, threshold
        cdef uint64_t high = kubesim_multiply_high(self.draw(), count, &low)
        if low < count:
            threshold = (0 - count) % count
            while low < threshold:
                high = kubesim_multiply_high(self.draw(), count, &low)
        return high

    cdef inline double draw_uniform(self) noexcept nogil:
        return <double>(self.draw() >> 11) * TWO_TO_MINUS_53

    def u64(self):
        """Draw an integer, 0 <= n < 2^64."""
        return self.draw()

    def below(self, count):
        """Draw an integer, 0 <= n < ``count``, each equally likely. Raises ValueError unless 0 < count < 2^64."""
        if not 0 < count <= UINT64_MAX:
            raise ValueError(f"count is {count}; expected 1 to 2^64 - 1")
        return self.draw_below(PyNumber_Index(count))

    def uniform(self):
        """Draw a float, 0 <= x < 1, a multiple of 2^-53."""
        return self.draw_uniform()

    def between(self, low, high):
        """Draw an integer, ``low`` <= n <= ``high``, each equally likely. Raises ValueError when low > high."""
        # PyNumber_Index refuses floats, which Cython's own conversion would truncate.
        cdef int64_t first = PyNumber_Index(low), last = PyNumber_Index(high)
        cdef uint64_t span
        if first > last:
            raise ValueError(f"low is {low} and high is {high}; expected low <= high")
        span = <uint64_t>last - <uint64_t>first
        if span == UINT64_MAX:
            return <int64_t>(<uint64_t>first + self.draw())
        return <int64_t>(<uint64_t>first + self.draw_below(span + 1))

    def exponential(self, double mean):
        """Draw a float of the exponential distribution with this mean, at most 37 times the mean."""
        # 1 - u is in (0, 1], so the logarithm is finite.
        return -mean * natural_log(1.0 - self.draw_uniform())

    def normal(self, double mean, double deviation):
        """Draw a float of the normal distribution."""
        # Marsaglia's polar method; its second result is thrown away, so that the stream has no state but its four words.
        cdef double u, v, square
        while True:
            u = 2.0 * self.draw_uniform() - 1.0
            v = 2.0 * self.draw_uniform() - 1.0
            square = u * u + v * v
            if 0.0 < square < 1.0:
                break
        return mean + deviation * (u * sqrt(-2.0 * natural_log(square) / square))

    def choice(self, sequence):
        """Draw one element of a sequence. Raises ValueError when it is empty."""
        count = len(sequence)
        if not count:
            raise ValueError("the sequence is empty; expected at least one element to choose from")
        return sequence[self.draw_below(count)]

    def shuffle(self, list items not None):
        """Shuffle a list in place, every order equally likely (Fisher and Yates, from the end)."""
        cdef Py_ssize_t index, other
        for index in range(len(items) - 1, 0, -1):
            other = <Py_ssize_t>self.draw_below(<uint64_t>index + 1)
            items[index], items[other] = items[other], items[index]

    def uuid(self):
        """Draw a random UUID (RFC 4122, version 4) as text: ``xxxxxxxx-xxxx-4xxx-[89ab]xxx-xxxxxxxxxxxx``."""
        cdef uint64_t words[2]
        cdef str text = PyUnicode_New(36, 127)
        cdef char* out = <char*>PyUnicode_1BYTE_DATA(text)
        cdef int digit, at = 0
        words[0] = (self.draw() & <uint64_t>0xFFFFFFFFFFFF0FFF) | <uint64_t>0x4000
        words[1] = (self.draw() & <uint64_t>0x3FFFFFFFFFFFFFFF) | <uint64_t>0x8000000000000000
        for digit in range(32):
            if digit == 8 or digit == 12 or digit == 16 or digit == 20:
                out[at] = c"-"
                at += 1
            out[at] = HEX[(words[digit >> 4] >> (60 - 4 * (digit & 15))) & 15]
            at += 1
        return text

    def suffix(self, Py_ssize_t length=5):
        """Draw the random end of a generated name, of upstream's 27 characters (``utilrand.String``)."""
        cdef str text
        cdef char* out
        cdef Py_ssize_t index
        if not 0 < length <= SUFFIX_LENGTH_MAX:
            raise ValueError(f"length is {length}; expected 1 to {SUFFIX_LENGTH_MAX}")
        text = PyUnicode_New(length, 127)
        out = <char*>PyUnicode_1BYTE_DATA(text)
        for index in range(length):
            out[index] = ALPHABET[self.draw_below(27)]
        return text
