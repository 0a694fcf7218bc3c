"""The Lease by which a server says that it lives, in kube-system: renewed every ten seconds as long as it runs.

It also moves the version of an idle cluster on. Upstream: start-kube-apiserver-identity-lease-controller in
pkg/controlplane/apiserver/server.go.
"""

import base64
import hashlib
from typing import Any

from kubesim.apiserver.requests import Request
from kubesim.apiserver.server import ApiServer
from kubesim.kernel.loop import PRIORITY_STANDING
from kubesim.kernel.time import SECOND, format_micro_time

Object = dict[str, Any]
RESOURCE, NAMESPACE = "leases.coordination.k8s.io", "kube-system"
DURATION_SECONDS = 3600
RENEW_NS = 10 * SECOND


class IdentityLease:
    """Renews the Lease of a server from now on."""

    def __init__(self, server: ApiServer, host: str, user: str) -> None:
        self._server, self._host, self._user = server, host, user
        digest = base64.b32encode(hashlib.sha256(host.encode()).digest()[:16]).decode().rstrip("=").lower()
        self.name = f"apiserver-{digest}"
        self._holder = f"{self.name}_{server.uid_stream.uuid()}"

    def renew(self) -> None:
        """Write the Lease and come again in ten seconds."""
        self._server.kernel.after(RENEW_NS, self.renew, priority=PRIORITY_STANDING)
        old = self._server.peek(RESOURCE, NAMESPACE, self.name)
        now = format_micro_time(self._server.kernel.now_ns)
        spec = {"holderIdentity": self._holder, "leaseDurationSeconds": DURATION_SECONDS, "renewTime": now}
        labels = {"apiserver.kubernetes.io/identity": "kube-apiserver", "kubernetes.io/hostname": self._host}
        lease: Object = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
        if old is None:
            lease["metadata"] = {"name": self.name, "namespace": NAMESPACE, "labels": labels}
            self._send(Request("create", RESOURCE, NAMESPACE, self.name, lease, user=self._user))
        else:
            self._send(Request("update", RESOURCE, NAMESPACE, self.name, {**old, "spec": spec}, user=self._user))

    def _send(self, request: Request) -> None:
        # The namespace may have been taken away, or an admission policy forbids it: the next round tries again.
        self._server.submit(request, lambda outcome: None)
