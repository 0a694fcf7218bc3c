"""CNI: the address ranges of nodes and the addresses of Pods.

Every node has a /24 for its Pods; a node's addresses are handed out in a circle, as the host-local plugin does, so that an address
rests as long as possible after its Pod, and none is in use twice. ``.0``, ``.1`` (the bridge) and ``.255`` are never given out.
Reachability and policies are not here.

Upstream: containernetworking/plugins (host-local, bridge), cluster CIDR 10.244.0.0/16 of kubeadm and flannel.
"""

from typing import NamedTuple

NODE_COUNT_MAX = 256 + 127 * 256
FIRST_HOST, LAST_HOST = 2, 254


def pod_cidr(node_index: int) -> str:
    """The Pod range of the n-th node: 10.244.n.0/24 for the first 256, then 10.128.0.0/9 in order without 10.244.

    Raises ValueError beyond 32,768 nodes.
    """
    if node_index < 256:
        return f"10.244.{node_index}.0/24"
    if node_index >= NODE_COUNT_MAX:
        raise ValueError(f"node_index: {node_index}: expected less than {NODE_COUNT_MAX}: there are no more /24 ranges for Pods")
    second, third = divmod(node_index - 256, 256)
    second += 128
    return f"10.{second if second < 244 else second + 1}.{third}.0/24"


def node_address(node_index: int) -> str:
    """The address of the n-th node, from 172.16.0.0/12; the last part is never 0 or 255."""
    rest, last = divmod(node_index, 254)
    second, third = divmod(rest, 256)
    return f"172.{16 + second}.{third}.{last + 1}"


class CniOutcome(NamedTuple):
    """The result of ADD: an address, or why there is none."""

    ip: str
    error: str


class CniPlugin:
    """The addresses of one node, from a range a.b.c.d/n with at least four addresses."""

    __slots__ = ("_base", "_by_owner", "_cidr", "_count", "_next", "_prefix", "_used")

    def __init__(self, cidr: str) -> None:
        self._cidr = cidr
        address, _, bits = cidr.partition("/")
        if not bits.isdigit() or not 0 < int(bits) <= 30:
            raise ValueError(f"podCIDR: {cidr!r}: expected an IPv4 range with at least four addresses, for example 10.244.0.0/24")
        size = 1 << (32 - int(bits))
        self._base = _number(address, cidr) & ~(size - 1)
        self._prefix = address.rpartition(".")[0] + "." if bits == "24" else ""
        self._count = size - 3  # without the network, the bridge and the broadcast address
        self._next = 0
        self._used: set[int] = set()
        self._by_owner: dict[str, int] = {}

    def add(self, owner: str) -> CniOutcome:
        """Give an address to a sandbox; the same again for one that has it. O(1) while the range is not crowded."""
        known = self._by_owner.get(owner)
        if known is not None:
            return CniOutcome(self._text(known), "")
        used = self._used
        if len(used) >= self._count:
            return CniOutcome("", f"no IP addresses available in range set: {self._text(-1)}-{self._text(self._count - 1)}")
        offset = self._next
        while offset in used:
            offset = offset + 1 if offset + 1 < self._count else 0
        self._next = offset + 1 if offset + 1 < self._count else 0
        used.add(offset)
        self._by_owner[owner] = offset
        return CniOutcome(self._text(offset), "")

    def delete(self, owner: str) -> None:
        """Take the address back; an owner without one is not an error, as the specification demands."""
        offset = self._by_owner.pop(owner, None)
        if offset is not None:
            self._used.remove(offset)

    def reset(self) -> None:
        """Forget every owner: the node restarted."""
        self._by_owner.clear()
        self._used.clear()

    @property
    def in_use(self) -> dict[str, str]:
        """Address by owner, in the order they were given."""
        return {owner: self._text(offset) for owner, offset in self._by_owner.items()}

    def _text(self, offset: int) -> str:
        if self._prefix:
            return f"{self._prefix}{offset + FIRST_HOST}"
        number = self._base + offset + FIRST_HOST
        return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _number(address: str, cidr: str) -> int:
    parts = address.split(".")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        raise ValueError(f"podCIDR: {cidr!r}: expected an IPv4 range, for example 10.244.0.0/24")
    number = 0
    for part in parts:
        number = number << 8 | int(part)
    return number
