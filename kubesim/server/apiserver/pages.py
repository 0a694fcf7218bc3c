"""What is served beside resources: discovery, version, health, metrics, OpenAPI, the keys of service-account tokens."""

from collections.abc import Callable
from typing import Any

import orjson

from kubesim.server.apiserver import discovery, health
from kubesim.server.apiserver.answers import Answer, text
from kubesim.server.apiserver.call import Call
from kubesim.server.apiserver.encoding import Encoder
from kubesim.server.apiserver.media import (
    DISCOVERY_GROUP,
    DISCOVERY_LIST,
    JSON,
    OFFERED,
    PROTOBUF,
    YAML,
    Form,
    negotiate,
    not_acceptable,
    parse_accept,
)
from kubesim.server.apiserver.routes import Routes

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "$Format:%H$",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.26.6",
    "compiler": "gc",
    "platform": "linux/amd64",
}
AGGREGATED_TYPE = f"g={DISCOVERY_GROUP};v=v2;as={DISCOVERY_LIST}"


class Pages:
    """Answers calls that are for no resource."""

    def __init__(
        self, routes: Routes, encoder: Encoder, server_address: str, is_stopping: Callable[[], bool], metrics: Callable[[], str],
        openapi: Any = None, issuer: Any = None,
    ) -> None:  # fmt: skip
        self._routes = routes
        self._encoder = encoder
        self._server_address = server_address
        self._is_stopping = is_stopping
        self._metrics = metrics
        self._openapi = openapi
        self._issuer = issuer
        self._remembered: dict[tuple[Any, ...], Answer] = {}

    def answer(self, call: Call) -> Answer | None:
        """The answer, or None when there is nothing at this path. Raises ApiError."""
        path = call.path.rstrip("/") or "/"
        parts = path.strip("/").split("/")
        if parts[0] in health.CHECKS:
            return health.answer(path, call.query, self._is_stopping)
        if parts[0] == "openapi" and self._openapi is not None:
            found: Answer | None = self._openapi.answer(call, parts[1:])
            return found
        if path == "/version":
            return Answer(200, orjson.dumps(VERSION, option=orjson.OPT_INDENT_2))
        if path == "/":
            return Answer(200, orjson.dumps({"paths": discovery.root_paths(self._routes, health.LISTED)}, option=orjson.OPT_INDENT_2))
        if path == "/metrics":
            return text(self._metrics(), headers=())
        if self._issuer is not None and path == "/.well-known/openid-configuration":
            return Answer(200, orjson.dumps(self._issuer.configuration(self._server_address)))
        if self._issuer is not None and path == "/openid/v1/jwks":
            return Answer(200, orjson.dumps(self._issuer.keys()), "application/jwk-set+json")
        if parts[0] in ("api", "apis"):
            return self._discovery(call, parts)
        return None

    def _discovery(self, call: Call, parts: list[str]) -> Answer | None:
        accept = call.headers.get("accept", "")
        key = (self._routes.generation, accept, *parts)
        known = self._remembered.get(key)
        if known is not None:
            return known
        found = self._discover(accept, parts)
        if found is not None:
            if len(self._remembered) > 1000:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def _discover(self, accept: str, parts: list[str]) -> Answer | None:
        routes = self._routes
        if len(parts) == 1:
            media = aggregated_media(accept)
            if media:
                document = discovery.aggregated(routes, parts[0] == "api")
                return Answer(200, self._encoder.any(document, media), f"{media};{AGGREGATED_TYPE}")
            document = discovery.api_versions(self._server_address) if parts[0] == "api" else discovery.group_list(routes)
        elif parts[0] == "api":
            found = discovery.resource_list(routes, "", parts[1]) if len(parts) == 2 else None
            if found is None:
                return None
            document = found
        else:
            found = discovery.group(routes, parts[1]) if len(parts) == 2 else None
            if len(parts) == 3:
                found = discovery.resource_list(routes, parts[1], parts[2])
            if found is None:
                return None
            document = found
        form: Form | None = negotiate(accept, OFFERED, ())
        if form is None:
            raise not_acceptable()
        return Answer(200, self._encoder.any(document, form.media), form.media)


def aggregated_media(accept: str) -> str:
    """The media type in which the aggregated document is wanted, or "" when the plain one is."""
    for clause in parse_accept(accept):
        values = dict(clause.parameters)
        if not values.get("as") and clause.media in (JSON, YAML, PROTOBUF, "*/*"):
            return ""
        wanted = (values.get("g"), values.get("v"), values.get("as")) == (DISCOVERY_GROUP, "v2", DISCOVERY_LIST)
        if wanted and clause.media in (JSON, PROTOBUF):
            return clause.media
    return ""
