# cython: language_level=3
"""Protobuf messages as bytes, from a table of their fields: dicts in, dicts out. A KeyValue of the store is encoded as it is.

``Layout`` is one message's table. Fields at their default are left out, unknown ones are skipped, repeated numbers are sent packed, of a
union the last member counts. Its plain twin, which says the same in Python, is in tests/etcd/plain_codec.py.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove

from kubesim._core.revision_store cimport KeyValue

DEF FIRST_BYTES = 512
DEPTH_MAX = 100  # as protobuf's own limit: a request nested deeper is refused, not followed

cdef enum:
    WIRE_VARINT = 0
    WIRE_64 = 1
    WIRE_BYTES = 2
    WIRE_32 = 5

cdef enum Kind:
    INT64 = 0
    UINT64 = 1
    UINT32 = 2
    BOOL = 3
    BYTES = 4
    STRING = 5
    ENUM = 6
    MESSAGE = 7

KINDS = {"int64": INT64, "uint64": UINT64, "uint32": UINT32, "bool": BOOL, "bytes": BYTES, "string": STRING, "enum": ENUM, "message": MESSAGE}


class DecodeError(ValueError):
    """Bytes that are no such message."""


# -- writing ----------------------------------------------------------------------------------------------------------------------

cdef struct Writer:
    unsigned char* data
    Py_ssize_t size
    Py_ssize_t capacity
    bint is_owned          # ``data`` came from malloc


cdef int reserve(Writer* writer, Py_ssize_t more) except -1:
    cdef Py_ssize_t capacity = writer.capacity
    cdef unsigned char* data
    if writer.size + more <= capacity:
        return 0
    while capacity < writer.size + more:
        capacity *= 2
    if writer.is_owned:
        data = <unsigned char*> realloc(writer.data, capacity)
    else:
        data = <unsigned char*> malloc(capacity)
        if data is not NULL:
            memcpy(data, writer.data, writer.size)
    if data is NULL:
        raise MemoryError
    writer.data, writer.capacity, writer.is_owned = data, capacity, True
    return 0


cdef int put_varint(Writer* writer, uint64_t number) except -1:
    reserve(writer, 10)
    cdef unsigned char* at = writer.data + writer.size
    while number > 0x7F:
        at[0] = <unsigned char> (number & 0x7F) | 0x80
        at += 1
        number >>= 7
    at[0] = <unsigned char> number
    writer.size = at + 1 - writer.data
    return 0


cdef int put_raw(Writer* writer, bytes data) except -1:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    reserve(writer, size)
    memcpy(writer.data + writer.size, PyBytes_AS_STRING(data), size)
    writer.size += size
    return 0


cdef int put_sized(Writer* writer, bytes data) except -1:
    put_varint(writer, PyBytes_GET_SIZE(data))
    return put_raw(writer, data)


cdef int put_size_before(Writer* writer, Py_ssize_t start) except -1:
    """Put the size of all since ``start`` before it."""
    cdef Py_ssize_t size = writer.size - start, more = 1
    cdef uint64_t number = size
    while number > 0x7F:
        number >>= 7
        more += 1
    reserve(writer, more)
    memmove(writer.data + start + more, writer.data + start, size)
    writer.size = start
    put_varint(writer, size)
    writer.size += size
    return 0


cdef uint64_t number_of(Field field, object item) except? 0xFFFFFFFFFFFFFFFF:
    cdef int64_t negative
    if type(item) is str:
        item = field.enum_numbers[item]
    else:
        item = int(item)
    if item < 0:
        negative = item
        return <uint64_t> negative
    return item


cdef int put_key_value(Writer* writer, KeyValue record) except -1:
    put_varint(writer, 0x0A)
    put_sized(writer, record.key)
    if record.create_revision:
        put_varint(writer, 0x10)
        put_varint(writer, <uint64_t> record.create_revision)
    put_varint(writer, 0x18)
    put_varint(writer, <uint64_t> record.mod_revision)
    if record.version:
        put_varint(writer, 0x20)
        put_varint(writer, <uint64_t> record.version)
    if record.value:
        put_varint(writer, 0x2A)
        put_sized(writer, <bytes?> record.value)
    if record.lease:
        put_varint(writer, 0x30)
        put_varint(writer, <uint64_t> record.lease)
    return 0


cdef int put_message(Writer* writer, Layout layout, dict value) except -1:
    cdef Field field
    for field in layout.fields:
        item = value.get(field.name)
        if item is None:
            continue
        if field.is_repeated:
            if field.kind == BYTES or field.kind == STRING or field.kind == MESSAGE:
                for one in item:
                    put_one(writer, field, one)
            elif item:
                put_packed(writer, field, item)
        elif field.kind == MESSAGE:
            put_one(writer, field, item)
        elif field.kind == ENUM:
            if number_of(field, item):
                put_one(writer, field, item)
        elif field.in_union or item:
            put_one(writer, field, item)
    return 0


cdef int put_one(Writer* writer, Field field, object item) except -1:
    cdef Py_ssize_t start
    put_varint(writer, field.tag)
    if field.kind == BYTES:
        put_sized(writer, <bytes?> item)
    elif field.kind == STRING:
        put_sized(writer, (<str?> item).encode("utf-8", "surrogateescape"))
    elif field.kind == MESSAGE:
        start = writer.size
        if type(item) is KeyValue:
            put_key_value(writer, <KeyValue> item)
        else:
            put_message(writer, field.message, item)
        put_size_before(writer, start)
    else:
        put_varint(writer, number_of(field, item))
    return 0


cdef int put_packed(Writer* writer, Field field, object items) except -1:
    put_varint(writer, field.tag & ~<uint64_t> 7 | WIRE_BYTES)
    cdef Py_ssize_t start = writer.size
    for item in items:
        put_varint(writer, number_of(field, item))
    return put_size_before(writer, start)


# -- reading ----------------------------------------------------------------------------------------------------------------------

cdef struct Reader:
    const unsigned char* data
    Py_ssize_t at
    Py_ssize_t size


cdef uint64_t take_varint(Reader* reader) except? 0xFFFFFFFFFFFFFFFF:
    cdef uint64_t number = 0
    cdef int shift = 0
    cdef unsigned char byte
    while True:
        if reader.at >= reader.size:
            raise DecodeError("unexpected EOF")
        byte = reader.data[reader.at]
        reader.at += 1
        number |= <uint64_t> (byte & 0x7F) << shift
        if byte < 0x80:
            return number
        shift += 7
        if shift > 63:
            raise DecodeError("integer overflow")


cdef object from_number(Field field, uint64_t number):
    if field.kind == INT64:
        return <int64_t> number
    if field.kind == BOOL:
        return number != 0
    if field.kind == ENUM:
        return field.enum[number] if number < <uint64_t> len(field.enum) else number
    return number & 0xFFFFFFFF if field.kind == UINT32 else number


cdef int put_item(dict value, Field field, object item) except -1:
    cdef list items
    if field.is_repeated:
        items = value.get(field.name)
        if items is None:
            value[field.name] = items = []
        items.append(item)
    elif field.in_union or field.kind == MESSAGE or item:
        value[field.name] = item
    else:
        value.pop(field.name, None)
    return 0


cdef dict take_message(Reader* reader, Layout layout, Py_ssize_t stop, int depth):
    cdef dict value = {}, part
    cdef Field field
    cdef uint64_t tag, size
    cdef Py_ssize_t end
    if depth > DEPTH_MAX:
        raise DecodeError("the message is nested too deeply")
    while reader.at < stop:
        tag = take_varint(reader)
        field = layout.by_tag.get(tag)
        if field is None:
            skip(reader, tag)
            continue
        if field.in_union:
            for other in layout.union:  # the last one counts
                if other != field.name:
                    value.pop(other, None)
        if tag & 7 != WIRE_BYTES:
            put_item(value, field, from_number(field, take_varint(reader)))
            continue
        size = take_varint(reader)
        if reader.at > stop or size > <uint64_t> (stop - reader.at):
            raise DecodeError("unexpected EOF")
        end = reader.at + <Py_ssize_t> size
        if field.kind == BYTES:
            put_item(value, field, PyBytes_FromStringAndSize(<const char*> reader.data + reader.at, end - reader.at))
            reader.at = end
        elif field.kind == STRING:
            put_item(value, field, PyUnicode_DecodeUTF8(<const char*> reader.data + reader.at, end - reader.at, "surrogateescape"))
            reader.at = end
        elif field.kind == MESSAGE:
            part = take_message(reader, field.message, end, depth + 1)
            if not field.is_repeated and field.name in value:
                part = {**<dict> value[field.name], **part}  # a message that comes in parts is one message
            put_item(value, field, part)
        else:  # packed numbers
            while reader.at < end:
                put_item(value, field, from_number(field, take_varint(reader)))
            reader.at = end
    if reader.at != stop:
        raise DecodeError("unexpected EOF")
    return value


cdef int skip(Reader* reader, uint64_t tag) except -1:
    cdef uint64_t size = 0
    if tag & 7 == WIRE_VARINT:
        take_varint(reader)
        return 0
    if tag & 7 == WIRE_64:
        size = 8
    elif tag & 7 == WIRE_BYTES:
        size = take_varint(reader)
    elif tag & 7 == WIRE_32:
        size = 4
    else:
        raise DecodeError(f"wire type {tag & 7} is not used")
    if size > <uint64_t> (reader.size - reader.at):
        raise DecodeError("unexpected EOF")
    reader.at += <Py_ssize_t> size
    return 0


# -- tables -----------------------------------------------------------------------------------------------------------------------

cdef class Field:
    """One field of a message."""

    cdef str name
    cdef uint64_t tag
    cdef Kind kind
    cdef bint in_union, is_repeated
    cdef tuple enum
    cdef dict enum_numbers
    cdef Layout message


cdef class Layout:
    """The fields of one message, in the order of their numbers."""

    cdef list fields
    cdef dict by_tag
    cdef list union

    def __init__(self):
        self.fields = []
        self.by_tag = {}
        self.union = []

    def add(self, str name not None, int number, str kind not None, bint in_union, bint is_repeated, tuple enum=(), Layout message=None):
        """Add a field; ``enum`` are its names by number, ``message`` its own layout. ``in_union``: sent at its default too."""
        cdef Field field = Field()
        field.name, field.kind, field.in_union, field.is_repeated = name, KINDS[kind], in_union, is_repeated
        field.enum, field.message = enum, message
        field.enum_numbers = {each: i for i, each in enumerate(enum)}
        is_sized = field.kind in (BYTES, STRING, MESSAGE)
        field.tag = number << 3 | (WIRE_BYTES if is_sized else WIRE_VARINT)
        self.fields.append(field)
        self.by_tag[field.tag] = field
        if is_repeated and not is_sized:
            self.by_tag[number << 3 | WIRE_BYTES] = field  # packed
        if in_union:
            self.union.append(name)

    def encode(self, dict value not None):
        """Return the bytes of a message; what is no field of it is not looked for. O(bytes · depth)."""
        cdef unsigned char[FIRST_BYTES] first
        cdef Writer writer
        writer.data, writer.size, writer.capacity, writer.is_owned = first, 0, FIRST_BYTES, False
        try:
            put_message(&writer, self, value)
            return PyBytes_FromStringAndSize(<const char*> writer.data, writer.size)
        finally:
            if writer.is_owned:
                free(writer.data)

    def decode(self, bytes data not None):
        """Return the fields of a message. Raises DecodeError. O(bytes)."""
        cdef Reader reader
        reader.data, reader.at, reader.size = <const unsigned char*> PyBytes_AS_STRING(data), 0, PyBytes_GET_SIZE(data)
        return take_message(&reader, self, reader.size, 0)


def encode_key_value(KeyValue record not None):
    """Return a record of the store as a KeyValue; a deleted one has its key and mod revision only."""
    cdef unsigned char[FIRST_BYTES] first
    cdef Writer writer
    writer.data, writer.size, writer.capacity, writer.is_owned = first, 0, FIRST_BYTES, False
    try:
        put_key_value(&writer, record)
        return PyBytes_FromStringAndSize(<const char*> writer.data, writer.size)
    finally:
        if writer.is_owned:
            free(writer.data)
