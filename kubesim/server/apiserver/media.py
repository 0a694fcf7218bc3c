"""Media types: which form of an answer a client accepts, and what it says its body is.

Upstream: apiserver/pkg/endpoints/handlers/negotiation/negotiate.go, go-restful's Produces (the first gate, which looks at names only)
and munnerz/goautoneg.
"""

from functools import lru_cache
from typing import NamedTuple

from kubesim.api.errors import ApiError

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
OFFERED = (JSON, YAML, PROTOBUF)
META_GROUP = "meta.k8s.io"
TABLE, PARTIAL, PARTIAL_LIST = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"
TRANSFORMS = (TABLE, PARTIAL, PARTIAL_LIST)
TRANSFORM_VERSIONS = ("v1", "v1beta1")
DISCOVERY_GROUP, DISCOVERY_LIST = "apidiscovery.k8s.io", "APIGroupDiscoveryList"


class Form(NamedTuple):
    """The form of an answer: the encoding, and the kind of ``meta.k8s.io`` that is asked for instead of the object itself."""

    media: str = JSON
    transform: str = ""  # "Table", "PartialObjectMetadata", ..., or ""
    version: str = ""  # of the transform
    is_pretty: bool = False


DEFAULT = Form()


class Clause(NamedTuple):
    """One part of an Accept header."""

    media: str
    parameters: tuple[tuple[str, str], ...]
    quality: float


@lru_cache(maxsize=1024)
def parse_accept(header: str) -> tuple[Clause, ...]:
    """The clauses of an Accept header, the best first; equal ones in the order of the header."""
    clauses = []
    for part in header.split(","):
        name, *rest = (piece.strip() for piece in part.split(";"))
        if not name:
            continue
        parameters = []
        quality = 1.0
        for piece in rest:
            key, _, value = piece.partition("=")
            if key == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 1.0
            else:
                parameters.append((key, value.strip('"')))
        clauses.append(Clause("*/*" if name == "*" else name, tuple(parameters), quality))
    return tuple(sorted(clauses, key=lambda clause: (-clause.quality, (clause.media == "*/*") + clause.media.endswith("/*"))))


def passes_first_gate(header: str, offered: tuple[str, ...] = OFFERED) -> bool:
    """Whether any name in the header is offered by name, parameters aside: what go-restful asks before any handler runs."""
    if not header:
        return True
    return any(part.partition(";")[0].strip() in ("*/*", *offered) for part in header.split(","))


@lru_cache(maxsize=1024)
def negotiate(header: str, offered: tuple[str, ...] = OFFERED, transforms: tuple[str, ...] = TRANSFORMS) -> Form | None:
    """The form that the first acceptable clause asks for; None when there is none (406)."""
    if not header:
        return Form(offered[0])
    for clause in parse_accept(header):
        for media in offered:
            if clause.media in (media, "*/*") or (clause.media.endswith("/*") and media.startswith(clause.media[:-1])):
                form = _with_parameters(media, clause, transforms)
                if form is not None:
                    return form
    return None


def _with_parameters(media: str, clause: Clause, transforms: tuple[str, ...]) -> Form | None:
    values = dict(clause.parameters)
    kind = values.get("as", "")
    if not kind:
        return Form(media)
    if kind not in transforms or values.get("g") != META_GROUP or values.get("v") not in TRANSFORM_VERSIONS:
        return None
    return Form(media, kind, values["v"])


def content_type_of(header: str) -> str:
    """The name in a Content-Type header, without its parameters."""
    return header.partition(";")[0].strip().lower()


def not_acceptable_gate() -> ApiError:
    """406 of the first gate."""
    message = f"406: Not Acceptable\n\nAvailable representations: {', '.join(OFFERED)}"
    return ApiError(406, "NotAcceptable", message, {})


def not_acceptable(offered: tuple[str, ...] = OFFERED) -> ApiError:
    """406 of the negotiation proper."""
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(offered)}")


def unsupported_body(accepted: tuple[str, ...] = OFFERED) -> ApiError:
    """415 of a create, update or delete."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return ApiError(415, "UnsupportedMediaType", message)


def unsupported_patch() -> ApiError:
    """415 of a patch."""
    return ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
