"""Messages as protobuf bytes, by the tables of ``schema``. The work is done by ``_core/protobuf.pyx``.

``decode(encode(message))`` is the message without its defaults. A KeyValue is encoded from a dict or straight from a record of the store.
"""

from typing import Any

from kubesim._core.protobuf import DEPTH_MAX, DecodeError, encode_key_value
from kubesim.etcd.wire.schema import Message

Fields = dict[str, Any]


def encode(message: Message, value: Fields) -> bytes:
    """Return the bytes of a message. Raises KeyError never: what is not a field of it is an error of the caller, not looked for."""
    return message.layout.encode(value)


def decode(message: Message, data: bytes) -> Fields:
    """Return the fields of a message. Raises DecodeError."""
    return message.layout.decode(data)


__all__ = ["DEPTH_MAX", "DecodeError", "Fields", "decode", "encode", "encode_key_value"]
