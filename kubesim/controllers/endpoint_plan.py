"""How to change the slices of a Service so that they show what they should: few writes, at most 100 endpoints each.

Upstream's order per port set: change and empty the slices that need it anyway; fill those; fit what is left into the fullest other slice
that takes it whole; else make new ones. Slices that would be deleted are written over by those that would be created. A Service
without any endpoint keeps one empty slice. Looks only at the Pods that differ and the slices that show them.

Upstream: endpointslice/reconciler.go (reconcileByPortMapping, finalize), endpointslice/utils.go (getSliceToFill, newEndpointSlice).
"""

from typing import NamedTuple

from kubesim.apiserver.requests import Object
from kubesim.controllers.service_endpoints import Family, PortsKey, pod_key_of, slice_ports_key

ENDPOINTS_MAX = 100


class Plan(NamedTuple):
    """Slices to make (ports and endpoints), to write (key, ports and endpoints) and to delete (keys)."""

    create: list[tuple[PortsKey, list[Object]]]
    update: list[tuple[str, PortsKey, list[Object]]]
    delete: list[str]


def plan(family: Family, foreign: frozenset[str] = frozenset()) -> Plan:
    """Plan the changes of one family; ``foreign`` are slices of a former Service of that name, to be deleted.

    O(different Pods + endpoints of the slices that show them + slices).
    """
    contents = _contents(family, foreign)
    delete = [key for key, slice_ in family.slices.items() if key in foreign or _is_left_over(family, slice_, contents.get(key))]
    added: dict[PortsKey, list[Object]] = {}
    for key in family.different:
        wanted = family.desired.get(key)
        if wanted is not None and not _stays(family, key, foreign):
            added.setdefault(wanted.ports, []).append(wanted.value)
    touched = {key: found for key, found in contents.items() if key not in delete}
    create: list[tuple[PortsKey, list[Object]]] = []
    for ports, endpoints in added.items():
        create += _place(family, ports, endpoints, touched, delete)
    update = [(key, slice_ports_key(family.slices[key]), found) for key, found in touched.items()]
    if len(delete) == len(family.slices) and not create:
        create.append(((), []))
        if len(delete) == 1 and delete[0] not in foreign and _is_placeholder(family.slices[delete[0]]):
            return Plan([], update, [])
    return _reuse(Plan(create, update, delete), foreign)


def _stays(family: Family, key: str, foreign: frozenset[str]) -> bool:
    """Whether the Pod's endpoint is shown by a slice with the right ports, and only has to be replaced there."""
    shown, wanted = family.actual.get(key), family.desired.get(key)
    return shown is not None and wanted is not None and shown[0] not in foreign and shown[1].ports == wanted.ports


def _contents(family: Family, foreign: frozenset[str]) -> dict[str, list[Object]]:
    """The new endpoints of every slice that shows a Pod that differs, before anything is added."""
    touched = dict(family.odd)
    for key in family.different:
        shown = family.actual.get(key)
        if shown is not None:
            touched[shown[0]] = None
    contents: dict[str, list[Object]] = {}
    for slice_key in family.slices:  # in the order of the slices, as upstream fills them
        if slice_key in touched and slice_key not in foreign:
            contents[slice_key] = _kept(family, slice_key)
    return contents


def _kept(family: Family, slice_key: str) -> list[Object]:
    kept = []
    for endpoint in family.slices[slice_key].get("endpoints") or ():
        key = pod_key_of(endpoint)
        shown, wanted = family.actual.get(key), family.desired.get(key)
        if shown is None or wanted is None or shown[0] != slice_key or shown[1].value is not endpoint or shown[1].ports != wanted.ports:
            continue
        kept.append(wanted.value)
    return kept


def _is_left_over(family: Family, slice_: Object, content: list[Object] | None) -> bool:
    """Whether a slice is emptied by this plan, or has ports that no endpoint has any more."""
    return content == [] or slice_ports_key(slice_) not in family.groups


def _place(
    family: Family, ports: PortsKey, endpoints: list[Object], touched: dict[str, list[Object]], delete: list[str]
) -> list[tuple[PortsKey, list[Object]]]:
    """Put endpoints into slices: those written anyway, then one that takes the whole rest, then new ones."""
    position = 0
    for key, content in touched.items():
        if position < len(endpoints) and slice_ports_key(family.slices[key]) == ports:
            count = min(ENDPOINTS_MAX - len(content), len(endpoints) - position)
            content += endpoints[position : position + max(count, 0)]
            position += max(count, 0)
    created: list[tuple[PortsKey, list[Object]]] = []
    while position < len(endpoints):
        rest = endpoints[position : position + ENDPOINTS_MAX]
        room = _slice_to_fill(family, ports, len(rest), touched, delete) if len(rest) < ENDPOINTS_MAX else None
        if room is None:
            created.append((ports, rest))
        else:
            touched[room] = [*(family.slices[room].get("endpoints") or ()), *rest]
        position += len(rest)
    return created


def _slice_to_fill(family: Family, ports: PortsKey, count: int, touched: dict[str, list[Object]], delete: list[str]) -> str | None:
    """The fullest untouched slice that has room for all."""
    best, most = None, -1
    for key, slice_ in family.slices.items():
        size = len(slice_.get("endpoints") or ())
        free = key not in touched and key not in delete and slice_ports_key(slice_) == ports
        if free and size > most and size + count <= ENDPOINTS_MAX:
            best, most = key, size
    return best


def _is_placeholder(slice_: Object) -> bool:
    return not slice_.get("endpoints") and not slice_.get("ports")


def _reuse(found: Plan, foreign: frozenset[str]) -> Plan:
    """Write over a slice in place of deleting it and creating another."""
    create, update, delete = list(found.create), list(found.update), []
    for key in found.delete:
        if create and key not in foreign:
            ports, endpoints = create.pop()
            update.append((key, ports, endpoints))
        else:
            delete.append(key)
    return Plan(create, update, delete)
