"""The resources that a score looks at, for one Pod: their columns in the node table, requests and weights.

Shared by NodeResourcesFit and NodeResourcesBalancedAllocation. Upstream: plugins/noderesources/resource_allocation.go.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.requests import CPU, EPHEMERAL_STORAGE, MEMORY

if TYPE_CHECKING:
    from kubesim.scheduler.node_table import NodeTable

NOMINAL_COLUMNS = {CPU: 0, MEMORY: 1}
REAL = -1
DEFAULT_RESOURCES = ((CPU, 1), (MEMORY, 1))


class ResourceColumns(NamedTuple):
    """Parallel lists; ``nominal`` is 0 or 1 (a column of ``nominal_used_N2``) or REAL (``used_NR``)."""

    columns: list[int]
    requests: list[int]
    weights: list[int]
    nominal: list[int]


def weighted_resources(specs: Iterable[Mapping[str, Any]] | None) -> tuple[tuple[str, int], ...]:
    """(name, weight) of a plugin's ``resources`` argument; cpu and memory, 1 each, when there is none."""
    return tuple((spec["name"], spec.get("weight") or 1) for spec in specs or ()) or DEFAULT_RESOURCES


def columns_for(pod: PodInfo, resources: Iterable[tuple[str, int]], table: "NodeTable", is_nominal: bool) -> ResourceColumns:
    """What a score looks at. Extended resources that the Pod does not request are left out.

    ``is_nominal``: cpu and memory are the nominal amounts (NodeResourcesFit) in place of the real ones.
    """
    requests = pod.facts.requests
    found = ResourceColumns([], [], [], [])
    for name, weight in resources:
        nominal = NOMINAL_COLUMNS.get(name, REAL) if is_nominal else REAL
        request = requests.nominal_scored[nominal] if nominal != REAL else requests.real.get(name, 0)
        if not request and name not in (CPU, MEMORY, EPHEMERAL_STORAGE):
            continue
        found.columns.append(table.column(name))
        found.requests.append(request)
        found.weights.append(weight)
        found.nominal.append(nominal)
    return found


def use_after(wanted: ResourceColumns, table: "NodeTable", row: int, with_request: bool = True) -> list[tuple[int, int, int]]:
    """(use with the Pod, allocatable, weight) of each resource that one row has any of: for the scalar twins."""
    found = []
    for column, request, weight, nominal in zip(*wanted):
        allocatable = int(table.allocatable_NR[row, column])
        used = int(table.used_NR[row, column] if nominal == REAL else table.nominal_used_N2[row, nominal])
        if allocatable:
            found.append((used + (request if with_request else 0), allocatable, weight))
    return found
