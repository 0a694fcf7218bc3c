"""DefaultBinder: POST pods/NAME/binding.

Upstream: plugins/defaultbinder/default_binder.go.
"""

from kubesim.apiserver.requests import Request, bind
from kubesim.scheduler.contract import Plugin
from kubesim.scheduler.pod_facts import PodInfo


class DefaultBinder(Plugin):
    """See the module."""

    name = "DefaultBinder"
    extends = frozenset({"bind"})

    def bind(self, pod: PodInfo, row: int) -> Request | None:
        metadata = pod.obj["metadata"]
        return bind(metadata["namespace"], metadata["name"], pod.uid, self.table.names[row] or "")


PLUGIN = DefaultBinder
