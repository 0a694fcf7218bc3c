"""The apiservers of several masters as one: what ``Cluster`` asks in place of the apiserver in its own process.

A request goes over the network, through the load balancer, and time passes until it is answered. What is only looked at (``peek``) comes
from the etcd member that has come furthest, and takes no time.
"""

from collections.abc import Callable
from typing import Any

from kubesim._core.revision_store import RevisionStore
from kubesim.api.errors import ApiError
from kubesim.api.kinds import KINDS
from kubesim.apiserver.metadata import stamped
from kubesim.apiserver.outside import Outside
from kubesim.apiserver.registry import Registry
from kubesim.apiserver.requests import Object, Request
from kubesim.apiserver.server import ApiServer, Audit
from kubesim.client.network_link import NetworkLink
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import MINUTE

PATIENCE_NS = 5 * MINUTE


class FrontDoor:
    """``call``, ``get``, ``peek`` and ``peek_all`` of an ``ApiServer``. ``audit`` is told of the writes of all servers."""

    def __init__(
        self,
        kernel: Kernel,
        link: NetworkLink,
        store: Callable[[], RevisionStore],
        audit: list[Audit],
        registry: Callable[[], Registry | None],
        outside: Outside,
    ) -> None:
        self.kernel = kernel
        self.link = link
        self.audit = audit
        self.outside = outside
        self._built_in = Registry(KINDS)
        self._registry = registry
        self._store = store

    @property
    def registry(self) -> Registry:
        """What is served: by a server that runs, custom resources included, else what every server has."""
        return self._registry() or self._built_in

    def call(self, request: Request) -> Any:
        """Send a request and let time pass until it is answered. Raises ApiError, 504 after five minutes."""
        answers: list[Any] = []
        self.link.send(request, answers.append)
        deadline_ns = self.kernel.now_ns + PATIENCE_NS
        while not answers:
            next_ns = self.kernel.next_time()
            if not 0 <= next_ns <= deadline_ns:
                raise ApiError(504, "Timeout", "no apiserver has answered in five minutes")
            self.kernel.run_due(next_ns)
        if isinstance(answers[0], ApiError):
            raise answers[0]
        return answers[0]

    def get(self, resource: str, namespace: str, name: str) -> Object:
        """Read one object. Raises ApiError 404."""
        obj: Object = self.call(Request("get", resource, namespace, name))
        return obj

    def peek(self, resource: str, namespace: str, name: str) -> Object | None:
        """An object as etcd has it, or None."""
        found = self.registry.by_name.get(resource)
        kv = None if found is None else self._store().get(found.key(namespace, name))
        return None if kv is None else stamped(kv)

    def peek_all(self, resource: str, namespace: str = "") -> list[Object]:
        """All objects of a resource as etcd has them, in key order."""
        found = self.registry.by_name.get(resource)
        return [] if found is None else [stamped(kv) for kv in self._store().range(*found.range(namespace)).kvs]


Door = ApiServer | FrontDoor  # what a cluster's user talks to
