from typing import Any

from kubesim._core.revision_store import KeyValue

DEPTH_MAX: int
KINDS: dict[str, int]

class DecodeError(ValueError): ...

class Layout:
    def __init__(self) -> None: ...
    def add(
        self,
        name: str,
        number: int,
        kind: str,
        in_union: bool,
        is_repeated: bool,
        enum: tuple[str, ...] = (),
        message: Layout | None = None,
    ) -> None: ...
    def encode(self, value: dict[str, Any]) -> bytes: ...
    def decode(self, data: bytes) -> dict[str, Any]: ...

def encode_key_value(record: KeyValue) -> bytes: ...
