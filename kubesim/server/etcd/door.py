"""What a member asks of its disk, one system call each: the place where a test puts a disk that is full, breaks or loses its power."""

import os
from pathlib import Path


class Door:
    """The disk door. Blocking calls; all raise OSError."""

    def create(self, path: Path) -> int:
        """Create a file, or empty it; its handle."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def write(self, handle: int, data: memoryview, offset: int) -> int:
        """Write at an offset; how many bytes it took."""
        return os.pwrite(handle, data, offset)

    def sync(self, handle: int) -> None:
        """Make what was written durable."""
        os.fdatasync(handle)

    def cut(self, handle: int, size: int) -> None:
        """Make a file shorter."""
        os.ftruncate(handle, size)

    def close(self, handle: int) -> None:
        """Close a file."""
        os.close(handle)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file over another."""
        os.rename(source, target)

    def delete(self, path: Path) -> None:
        """Delete a file, if it is there."""
        path.unlink(missing_ok=True)

    def sync_dir(self, path: Path) -> None:
        """Make what was created, renamed or deleted in a directory durable."""
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def write_all(self, handle: int, data: bytes, offset: int = 0) -> None:
        """Write all of it."""
        view = memoryview(data)
        while view:
            count = self.write(handle, view, offset)
            view, offset = view[count:], offset + count

    def write_whole(self, path: Path, data: bytes) -> None:
        """Write a file so that after a crash it is there whole or not at all."""
        part = path.with_suffix(f".{os.getpid()}.part")  # a child of a killed member may still write the same file
        handle = self.create(part)
        try:
            self.write_all(handle, data)
            self.sync(handle)
        finally:
            self.close(handle)
        self.rename(part, path)
        self.sync_dir(path.parent)
