"""Remember the last writes of a run: when, who, what, which revision. Objects are not kept, only their address."""

from collections import deque
from typing import Any, NamedTuple

from kubesim.apiserver.requests import Object, Request
from kubesim.kernel.time import format_micro_time

ENTRIES_MAX = 100_000  # older writes are forgotten


class Entry(NamedTuple):
    """One write. ``operation`` is the verb, with the subresource if there is one: ``update status``, ``create binding``."""

    time_ns: int
    revision: int
    component: str
    operation: str
    resource: str
    namespace: str
    name: str

    @property
    def time(self) -> str:
        """The virtual time as Kubernetes writes it, to the microsecond."""
        return format_micro_time(self.time_ns)

    def __str__(self) -> str:
        place = "/".join(part for part in (self.resource, self.namespace, self.name) if part)
        return f"{self.time} {self.component or 'unknown'}: {self.operation} {place} (resourceVersion {self.revision})"


class Timeline:
    """The last ``entries_max`` writes; ``on_write`` is an audit function. Recording is O(1), selecting O(entries)."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._rows: deque[tuple[Any, ...]] = deque(maxlen=entries_max)

    def on_write(self, time_ns: int, request: Request, obj: Object, revision: int) -> None:
        """Remember one write."""
        name = request.name or obj["metadata"].get("name", "")
        self._rows.append((time_ns, revision, request.user, request.verb, request.subresource, request.resource, request.namespace, name))

    def entries(self, resource: str = "", namespace: str = "", name: str = "") -> list[Entry]:
        """The writes to the objects selected, oldest first; an empty argument selects all."""
        return [
            Entry(time_ns, revision, user, f"{verb} {subresource}".strip(), found, where, called)
            for time_ns, revision, user, verb, subresource, found, where, called in self._rows
            if (not resource or found == resource) and (not namespace or where == namespace) and (not name or called == name)
        ]
