"""A disk that fails on command."""

import errno
import os
from pathlib import Path

from kubesim.server.etcd.door import Door


class Faulty(Door):
    """A disk that fails on command and knows what is durable: path -> bytes."""

    def __init__(self) -> None:
        self.error: int | None = None
        self.fails = ("write", "sync", "create", "rename")
        self.room = 1 << 60
        self.durable: dict[str, bytes] = {}
        self._paths: dict[int, str] = {}

    def _check(self, call: str) -> None:
        if self.error is not None and call in self.fails:
            raise OSError(self.error, os.strerror(self.error))

    def create(self, path: Path) -> int:
        self._check("create")
        handle = super().create(path)
        self._paths[handle] = str(path)
        return handle

    def write(self, handle: int, data: memoryview, offset: int) -> int:
        self._check("write")
        count = min(len(data), self.room)
        if count == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= count
        return super().write(handle, data[:count], offset)

    def sync(self, handle: int) -> None:
        self._check("sync")
        super().sync(handle)
        self.durable[self._paths[handle]] = Path(self._paths[handle]).read_bytes()

    def rename(self, source: Path, target: Path) -> None:
        self._check("rename")
        super().rename(source, target)
        self.durable[str(target)] = self.durable.pop(str(source))
