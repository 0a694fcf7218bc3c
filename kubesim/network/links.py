"""The links between the nodes: which are cut, and how long a packet takes. All are whole and equally fast until somebody says otherwise."""

from collections.abc import Iterable

from kubesim.kernel.time import MILLISECOND

LATENCY_NS = MILLISECOND // 2


class NodeLinks:
    """The data plane between nodes. A cut is directed; ``partition`` cuts every link between groups, both ways."""

    def __init__(self, latency_ns: int = LATENCY_NS) -> None:
        self._latency_ns = latency_ns
        self._cut: dict[tuple[str, str], None] = {}
        self._slow: dict[tuple[str, str], int] = {}

    def cut(self, source: str, destination: str) -> None:
        """Let nothing through from one node to another. O(1)."""
        self._cut[source, destination] = None

    def mend(self, source: str, destination: str) -> None:
        """Undo ``cut``; nothing to do for a link that is whole."""
        self._cut.pop((source, destination), None)

    def partition(self, *groups: Iterable[str]) -> None:
        """Cut every link between nodes of different groups. O(product of the sizes)."""
        lists = [list(group) for group in groups]
        for one in lists:
            for other in lists:
                if one is not other:
                    self._cut.update({(source, destination): None for source in one for destination in other})

    def heal(self) -> None:
        """Mend every link; latencies stay."""
        self._cut.clear()

    def set_latency(self, source: str, destination: str, latency_ns: int) -> None:
        """Make a link slower or faster, both ways. Raises ValueError for a negative time."""
        if latency_ns < 0:
            raise ValueError(f"latency_ns: {latency_ns}: expected 0 or more")
        self._slow[source, destination] = self._slow[destination, source] = latency_ns

    def is_cut(self, source: str, destination: str) -> bool:
        """Whether nothing gets from one node to the other."""
        return (source, destination) in self._cut

    def latency_ns(self, source: str, destination: str) -> int:
        """How long a packet takes; 0 on one node."""
        return 0 if source == destination else self._slow.get((source, destination), self._latency_ns)
