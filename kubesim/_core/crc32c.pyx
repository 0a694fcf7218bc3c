# cython: language_level=3
"""CRC-32C (Castagnoli), eight bytes a step. ``zlib`` has only the other polynomial, and etcd's HashKV is this one.

Its plain twin is in tests/etcd: one bit a step.
"""

from libc.stdint cimport uint8_t, uint32_t

cdef uint32_t[8][256] tables


cdef void fill_tables() noexcept nogil:
    cdef uint32_t crc
    cdef int i, step
    for i in range(256):
        crc = <uint32_t> i
        for step in range(8):
            crc = (crc >> 1) ^ (<uint32_t> 0x82F63B78 if crc & 1 else 0)
        tables[0][i] = crc
    for i in range(256):
        for step in range(1, 8):
            tables[step][i] = (tables[step - 1][i] >> 8) ^ tables[0][tables[step - 1][i] & 0xFF]


cdef uint32_t update(uint32_t crc, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    while size >= 8:
        crc ^= <uint32_t> data[0] | (<uint32_t> data[1] << 8) | (<uint32_t> data[2] << 16) | (<uint32_t> data[3] << 24)
        crc = (
            tables[7][crc & 0xFF] ^ tables[6][(crc >> 8) & 0xFF] ^ tables[5][(crc >> 16) & 0xFF] ^ tables[4][crc >> 24]
            ^ tables[3][data[4]] ^ tables[2][data[5]] ^ tables[1][data[6]] ^ tables[0][data[7]]
        )
        data += 8
        size -= 8
    while size > 0:
        crc = (crc >> 8) ^ tables[0][(crc ^ data[0]) & 0xFF]
        data += 1
        size -= 1
    return crc


def crc32c(bytes data not None, uint32_t crc=0):
    """Return the CRC-32C of ``data`` after data with ``crc``. O(n).

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    cdef const uint8_t* start = <const uint8_t*> (<char*> data)
    return update(crc ^ 0xFFFFFFFF, start, len(data)) ^ 0xFFFFFFFF


fill_tables()
