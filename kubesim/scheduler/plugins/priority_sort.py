"""PrioritySort: Pods of higher priority are tried first; among equals, who has waited longer.

Upstream: plugins/queuesort/priority_sort.go.
"""

from typing import Any

from kubesim.scheduler.contract import Plugin
from kubesim.scheduler.pod_facts import PodInfo


class PrioritySort(Plugin):
    """See the module."""

    name = "PrioritySort"
    extends = frozenset({"queueSort"})

    def sort_key(self, pod: PodInfo, timestamp_ns: int) -> Any:
        return -pod.facts.priority, timestamp_ns


PLUGIN = PrioritySort
