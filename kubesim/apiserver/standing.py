"""Standing renewals: a lease that renews itself without a write per renewal while nobody looks (ARCHITECTURE.md, Heartbeats).

A Lease with the annotation ``kubesim.dev/standing-renewal: <period>`` was renewed at its ``renewTime`` and counts as renewed every period
since. Who reads it through the apiserver sees the renewal that was due last, as a real write at the moment of reading.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.kernel.time import format_micro_time, parse_duration, parse_time

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
ANNOTATION = "kubesim.dev/standing-renewal"


def renewed(lease: Object, now_ns: int) -> Object:
    """The lease with the renewal that was due last; the same object when it has that already or does not stand."""
    period = (lease["metadata"].get("annotations") or {}).get(ANNOTATION)
    renew_time = (lease.get("spec") or {}).get("renewTime")
    if not period or not renew_time:
        return lease
    begun_ns, period_ns = parse_time(renew_time), parse_duration(period)
    if now_ns < begun_ns + period_ns:
        return lease
    due_ns = begun_ns + (now_ns - begun_ns) // period_ns * period_ns
    metadata = {**lease["metadata"], "resourceVersion": ""}
    return {**lease, "metadata": metadata, "spec": {**lease["spec"], "renewTime": format_micro_time(due_ns)}}


class StandingLeases:
    """Brings leases up to date when somebody reads them."""

    def brought_up_to_date(
        self, server: "ApiServer", resource: Resource, request: Request, found: Any
    ) -> Generator[Any, Any, Object]:
        """The lease as it stands now, written if a renewal was due."""
        old: Object = found.value
        lease = renewed(old, server.kernel.now_ns)
        if lease is old:
            return old
        lease = server.sealed(lease)
        revision = yield ("put_if", found.key, lease, found.mod_revision, found.lease)
        if not revision:
            return old  # somebody else has just written it
        metadata = lease["metadata"]
        renewal = Request("update", resource.name, metadata["namespace"], metadata["name"], lease, user=_holder(lease))
        server.committed(renewal, resource, found.key, lease, revision)
        return lease

    def bring_all_up_to_date(self, server: "ApiServer", resource: Resource, request: Request) -> Generator[Any, Any, None]:
        """Do so for every lease that a list will show."""
        page = yield ("range", *resource.range(request.namespace), 0, 0)
        for found in page.kvs:
            if renewed(found.value, server.kernel.now_ns) is not found.value:
                yield from self.brought_up_to_date(server, resource, request, found)


def _holder(lease: Object) -> str:
    holder: str = lease["spec"].get("holderIdentity") or ""
    return holder


STANDING = {"leases.coordination.k8s.io": StandingLeases()}
