"""What a served cluster has from the start beside what every cluster has: roles and bindings, and two ConfigMaps of the server's own.

Upstream: pkg/controlplane/controller/{clusterauthenticationtrust,legacytokentracking}, plugin/pkg/auth/authorizer/rbac/bootstrappolicy.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request, create
from kubesim.apiserver.server import ApiServer
from kubesim.server.apiserver.policy import USER, policy_requests

HEADERS = {
    "requestheader-allowed-names": [],
    "requestheader-extra-headers-prefix": ["X-Remote-Extra-"],
    "requestheader-group-headers": ["X-Remote-Group"],
    "requestheader-uid-headers": ["X-Remote-Uid"],
    "requestheader-username-headers": ["X-Remote-User"],
}


def config_map_requests(client_authority: str, today: str) -> Iterator[Request]:
    """The creates of the two ConfigMaps: whom the server trusts for clients, and since when tokens in Secrets are looked at."""
    trust: dict[str, Any] = {"client-ca-file": client_authority} if client_authority else {}
    trust |= {name: orjson.dumps(value).decode() for name, value in HEADERS.items()}
    for name, data in (
        ("extension-apiserver-authentication", trust),
        ("kube-apiserver-legacy-service-account-token-tracking", {"since": today}),
    ):
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        request = create("configmaps", "kube-system", obj)
        request.user = USER
        yield request


def bootstrap(server: ApiServer, client_authority: str = "") -> None:
    """Create what is missing; what is there stays as it is. Raises ApiError."""
    today = server.now_text()[:10]
    for request in (*policy_requests(), *config_map_requests(client_authority, today)):
        try:
            server.call(request)
        except ApiError as error:
            if error.code != 409:
                raise
