"""Allocation over time: how much of each resource the bound Pods hold, a row per change; as CSV and as a picture (SVG).

An audit function, like the metrics: a Pod holds what it requests from its bind until it is gone. O(1) per write.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.resources import pod_requests
from kubesim.apiserver.requests import Object, Request

Amounts = Mapping[str, int]
WIDTH, HEIGHT, MARGIN = 900, 360, 60
POINTS_MAX = 2000  # of a line in the picture
COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#a463f2", "#97bbf5", "#9c6b4e")
DAY_NS = 86_400_000_000_000


class Allocation:
    """The sums of what bound Pods hold. ``amounts_of(pod)`` says what one does: by default its requests, cpu in millicores."""

    def __init__(self, columns: Sequence[str], amounts_of: Callable[[Object], Amounts] | None = None) -> None:
        self.columns = ("pending", "bound", *columns)
        self._amounts_of = amounts_of or (lambda pod: pod_requests(pod["spec"]))
        self._columns = tuple(columns)
        self._held: dict[str, Amounts] = {}
        self._pending: dict[str, None] = {}
        self._sums = dict.fromkeys(columns, 0)
        self.times_ns: list[int] = []
        self.rows: list[tuple[int, ...]] = []

    def on_write(self, time_ns: int, request: Request, obj: Object, revision: int) -> None:
        """Take one write of the apiserver."""
        if request.resource != "pods":
            return
        metadata = obj["metadata"]
        uid = metadata.get("uid", "")
        if request.verb == "create" and not request.subresource:
            self._pending[uid] = None
        elif request.subresource == "binding":
            self._pending.pop(uid, None)
            self._hold(uid, obj)
        elif request.verb == "delete" and ("deletionTimestamp" not in metadata or metadata.get("deletionGracePeriodSeconds") == 0):
            self._pending.pop(uid, None)
            self._release(uid)
        else:
            return
        row = (len(self._pending), len(self._held), *self._sums.values())
        if self.times_ns and self.times_ns[-1] == time_ns:
            self.rows[-1] = row
        else:
            self.times_ns.append(time_ns)
            self.rows.append(row)

    def _hold(self, uid: str, pod: Object) -> None:
        amounts = self._held[uid] = self._amounts_of(pod)
        for name in self._columns:
            self._sums[name] += amounts.get(name, 0)

    def _release(self, uid: str) -> None:
        amounts = self._held.pop(uid, {})
        for name in self._columns:
            self._sums[name] -= amounts.get(name, 0)

    def csv(self, start_ns: int = 0) -> str:
        """``seconds`` since ``start_ns`` and the columns, a line per instant at which something changed."""
        lines = [",".join(("seconds", *self.columns))]
        for time_ns, row in zip(self.times_ns, self.rows):
            lines.append(",".join([f"{(time_ns - start_ns) / 1e9:.3f}", *map(str, row)]))
        return "\n".join(lines) + "\n"

    def svg(self, totals: Mapping[str, int], title: str, start_ns: int = 0) -> str:
        """The share of ``totals`` (column -> all there is) that is held, as lines over time in days; an SVG document."""
        span_ns = max((self.times_ns[-1] - start_ns) if self.times_ns else 0, 1)
        shares = {name: self._shares(name, total) for name, total in totals.items()}
        top = _rounded_up(max((share for found in shares.values() for share in found), default=0.0))
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            f'<text x="{MARGIN}" y="24" font-size="15">{_escaped(title)}</text>',
            *_axes(span_ns, top),
        ]
        step = max(1, len(self.rows) // POINTS_MAX)
        for index, (name, found) in enumerate(shares.items()):
            colour = COLOURS[index % len(COLOURS)]
            places = [_place((time - start_ns) / span_ns, share / top) for time, share in zip(self.times_ns[::step], found[::step])]
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.2" points="{points}"/>')
            x = MARGIN + 10 + index * 150
            parts.append(f'<rect x="{x}" y="34" width="12" height="12" fill="{colour}"/>')
            parts.append(f'<text x="{x + 18}" y="45">{_escaped(name)}</text>')
        return "\n".join([*parts, "</svg>"]) + "\n"

    def _shares(self, name: str, total: int) -> list[float]:
        column = self.columns.index(name)
        return [row[column] / total if total else 0.0 for row in self.rows]


def _rounded_up(share: float) -> float:
    """The next of 1, 2, 5, 10, ... per mille, at most 100 %."""
    steps = [first * 10**power / 1000 for power in range(3) for first in (1, 2, 5)]
    return next((step for step in steps if share <= step), 1.0)


def _place(across: float, up: float) -> tuple[float, float]:
    """Shares of the axes, as a point of the picture."""
    return MARGIN + across * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN)


def _axes(span_ns: int, top: float) -> Iterable[str]:
    for quarter in range(5):
        left, y = _place(0, quarter / 4)
        right, _ = _place(1, 0)
        yield f'<line x1="{left:.0f}" y1="{y:.0f}" x2="{right:.0f}" y2="{y:.0f}" stroke="#ddd"/>'
        yield f'<text x="{left - 8:.0f}" y="{y + 4:.0f}" text-anchor="end">{100 * top * quarter / 4:g} %</text>'
    for quarter in range(5):
        x, y = _place(quarter / 4, 0)
        yield f'<text x="{x:.0f}" y="{y + 20:.0f}" text-anchor="middle">day {span_ns * quarter / 4 / DAY_NS:.1f}</text>'


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def totals_of(nodes: Iterable[Object], columns: Iterable[str], amounts_of: Callable[[Object], Amounts]) -> dict[str, Any]:
    """What all nodes have, by column."""
    totals = dict.fromkeys(columns, 0)
    for node in nodes:
        for name, amount in amounts_of(node).items():
            if name in totals:
                totals[name] += amount
    return totals
