"""What a node table keeps beside resources: labels by key, host ports in use, images. All keyed by row.

Label columns exist for the keys that somebody asked about, so a label that no selector names costs nothing.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kubesim.scheduler.arrays import grown
from kubesim.scheduler.intern import Interner
from kubesim.scheduler.pod_facts import ANY_ADDRESS, PortKey

ABSENT = 0  # the value number of a row without the label


class LabelColumn:
    """One label key: a number per row (``ids_N``, int32) and the values behind the numbers (index 0: absent)."""

    __slots__ = ("ids_N", "key", "values")

    def __init__(self, key: str, capacity: int) -> None:
        self.key = key
        self.ids_N = np.zeros(capacity, np.int32)
        self.values: Interner[str | None] = Interner([None])

    def set(self, row: int, labels: Mapping[str, str]) -> None:
        """Put the row's value."""
        self.ids_N[row] = self.values.intern(labels.get(self.key))


class LabelColumns:
    """The label columns that were asked for."""

    __slots__ = ("_columns",)

    def __init__(self) -> None:
        self._columns: dict[str, LabelColumn] = {}

    def column(self, key: str, labels_by_row: list[Mapping[str, str]], capacity: int) -> LabelColumn:
        """The column of a key; O(N) when it is new, else O(1)."""
        column = self._columns.get(key)
        if column is None:
            column = self._columns[key] = LabelColumn(key, capacity)
            for row, labels in enumerate(labels_by_row):
                if key in labels:
                    column.set(row, labels)
        return column

    def set(self, row: int, labels: Mapping[str, str]) -> None:
        """Put a row's labels into every column; O(columns)."""
        for column in self._columns.values():
            column.set(row, labels)

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        for column in self._columns.values():
            column.ids_N = grown(column.ids_N, capacity)

    def check(self, labels_by_row: list[Mapping[str, str]]) -> None:
        """Verify every column against the labels. Raises AssertionError."""
        for key, column in self._columns.items():
            for row, labels in enumerate(labels_by_row):
                assert column.values[column.ids_N[row]] == labels.get(key), (key, row)


class PortTable:
    """Host ports in use: (protocol, port) -> row -> address -> how many Pods."""

    __slots__ = ("_in_use",)

    def __init__(self) -> None:
        self._in_use: dict[tuple[str, int], dict[int, dict[str, int]]] = {}

    def add(self, row: int, ports: tuple[PortKey, ...]) -> None:
        """A Pod with these ports is on the row."""
        for address, protocol, port in ports:
            addresses = self._in_use.setdefault((protocol, port), {}).setdefault(row, {})
            addresses[address] = addresses.get(address, 0) + 1

    def remove(self, row: int, ports: tuple[PortKey, ...]) -> None:
        """It is no longer there."""
        for address, protocol, port in ports:
            rows = self._in_use[(protocol, port)]
            addresses = rows[row]
            addresses[address] -= 1
            if not addresses[address]:
                del addresses[address]
                if not addresses:
                    del rows[row]
                    if not rows:
                        del self._in_use[(protocol, port)]

    def conflicts(self, ports: tuple[PortKey, ...]) -> set[int]:
        """The rows where one of the ports is taken; O(rows that use these port numbers). For membership only."""
        return {
            row
            for address, protocol, port in ports
            for row, addresses in self._in_use.get((protocol, port), {}).items()
            if collides(address, addresses)
        }

    def collides(self, row: int, ports: tuple[PortKey, ...]) -> bool:
        """Whether one of the ports is taken on one row; O(ports)."""
        return any(collides(address, self._in_use.get((protocol, port), {}).get(row, {})) for address, protocol, port in ports)

    def plain(self) -> dict[int, dict[PortKey, int]]:
        """Row -> port -> how many Pods: for ``check``."""
        found: dict[int, dict[PortKey, int]] = {}
        for (protocol, port), rows in self._in_use.items():
            for row, addresses in rows.items():
                found.setdefault(row, {}).update({(address, protocol, port): count for address, count in addresses.items()})
        return found


def collides(address: str, taken: Mapping[str, int]) -> bool:
    """Whether an address collides with those in use of one port: 0.0.0.0 does with all; "::" is an ordinary address."""
    return bool(taken) and (address == ANY_ADDRESS or ANY_ADDRESS in taken or address in taken)


class ClaimTable:
    """How many Pods use each claim ("namespace/name")."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count: dict[str, int] = {}

    def add(self, namespace: str, names: tuple[str, ...], sign: int = 1) -> None:
        """A Pod with these claims came, or went with ``sign=-1``."""
        for name in names:
            key = f"{namespace}/{name}"
            count = self._count.get(key, 0) + sign
            if count:
                self._count[key] = count
            else:
                del self._count[key]

    def count(self, key: str) -> int:
        """How many volumes of bound Pods are this claim."""
        return self._count.get(key, 0)


class Image:
    """One image name in the cluster: its size in bytes (that of the first node to have it) and the rows that have it."""

    __slots__ = ("rows", "size", "version")

    def __init__(self, size: int, version: int) -> None:
        self.size = size
        self.rows: dict[int, None] = {}
        self.version = version  # moves when size or rows change; never the same twice, also if the name comes back


class ImageTable:
    """Image name -> ``Image``."""

    __slots__ = ("_by_row", "_images", "_version")

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}
        self._by_row: dict[int, dict[str, int]] = {}
        self._version = 0

    def get(self, name: str) -> Image | None:
        """The image of this (normalized) name, or None."""
        return self._images.get(name)

    def version(self, name: str) -> int:
        """A number that moves with everything ``get(name)`` would show."""
        image = self._images.get(name)
        return image.version if image is not None else 0

    def set(self, row: int, images: list[dict[str, Any]] | None) -> None:
        """Put a row's images (``status.images``); O(names that differ)."""
        new = {name: image.get("sizeBytes") or 0 for image in images or () for name in image.get("names") or ()}
        old = self._by_row.get(row, {})
        if new == old:
            return
        for name in old:
            if name not in new or (old[name] != new[name] and len(self._images[name].rows) == 1):
                self._remove(row, name)
        for name, size in new.items():
            image = self._images.get(name)
            if image is None:
                image = self._images[name] = Image(size, 0)
            if row not in image.rows:
                image.rows[row] = None
                self._moved(image)
        if new:
            self._by_row[row] = new
        else:
            self._by_row.pop(row, None)

    def _remove(self, row: int, name: str) -> None:
        image = self._images[name]
        del image.rows[row]
        self._moved(image)
        if not image.rows:
            del self._images[name]

    def _moved(self, image: Image) -> None:
        self._version += 1
        image.version = self._version

    def check(self) -> None:
        """Verify both directions of the table. Raises AssertionError."""
        for name, image in self._images.items():
            assert image.rows, name
            assert all(name in self._by_row[row] for row in image.rows), name
        for row, names in self._by_row.items():
            assert all(row in self._images[name].rows for name in names), row
