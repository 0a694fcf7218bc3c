"""Objects as upstream shows them when a change is refused: Go's structs as indented JSON, and the unified diff of two of them.

Every field is there, by its Go name, with what an absent one is in Go: null for pointers, lists and maps, else an empty value. Fields
are in the order of their declaration (``api.go_order``); a Pod's host fields stand in its security context, as in the internal type.
"""

import difflib
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import orjson

from kubesim.api.always import by_value
from kubesim.api.go_order import order_of
from kubesim.api.pointers import text_pointers
from kubesim.api.protobuf import NO_POINTERS, POINTERS
from kubesim.api.schema import Field, definition

Object = dict[str, Any]
POD_SPEC = "io.k8s.api.core.v1.PodSpec"
CLAIM_SPEC = "io.k8s.api.core.v1.PersistentVolumeClaimSpec"
VOLUME_SPEC = "io.k8s.api.core.v1.PersistentVolumeSpec"
EPHEMERAL_CONTAINER = "io.k8s.api.core.v1.EphemeralContainer"
_HOST = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")
_POD_ORDER = (  # the internal type's, which is not that of v1
    "volumes", "initContainers", "containers", "ephemeralContainers", "restartPolicy", "terminationGracePeriodSeconds",
    "activeDeadlineSeconds", "dnsPolicy", "nodeSelector", "serviceAccountName", "automountServiceAccountToken", "nodeName",
    "securityContext", "imagePullSecrets", "hostname", "subdomain", "setHostnameAsFQDN", "affinity", "schedulerName", "tolerations",
    "hostAliases", "priorityClassName", "priority", "preemptionPolicy", "dnsConfig", "readinessGates", "runtimeClassName", "overhead",
    "enableServiceLinks", "topologySpreadConstraints", "os", "schedulingGates", "resourceClaims", "resources", "hostnameOverride",
    "schedulingGroup",
)  # fmt: skip
_ACRONYM = re.compile(
    "(?:api|aws|csi|dns|fc|fs|gce|grpc|http|ip|iscsi|nfs|os|rbd|tcp|tty|uid|url)(?=[A-Z]|$)|se(?=Linux)|cephfs|scaleIO|storageos"
)
_WORDS = {"cephfs": "CephFS", "scaleIO": "ScaleIO", "storageos": "StorageOS"}
_SCALARS = {"s": "", "y": "", "i": 0, "l": 0, "n": 0, "b": False, "x": 0, "q": "0"}


@cache
def go_name(name: str) -> str:
    """The Go name of a field."""
    match = _ACRONYM.match(name)
    if match:
        return _WORDS.get(match[0], match[0].upper()) + name[match.end() :]
    return name[:1].upper() + name[1:]


def tree(value: Any, at: Field) -> Any:
    """A value with Go's names, every field and Go's zeros."""
    if at.code == "a":
        return None if value is None else [tree(item, at.item or Field("*")) for item in value]
    if at.code == "m":
        return None if value is None else {key: tree(value[key], at.item or Field("*")) for key in sorted(value)}
    known = definition(at.ref) if at.code == "@" else None
    if known is None or not known.fields or not isinstance(value, dict):
        return value
    names = [name for name in (_POD_ORDER if at.ref == POD_SPEC else order_of(at.ref)) if name in known.fields]
    for name, before in (("quobyte", "rbd"), ("fsGroupChangePolicy", "fsGroup")):  # another place in the internal type
        if name in names:
            names.remove(name)
            names.insert(names.index(before) + 1, name)
    found: Object = {}
    for name in names:
        inner = known.fields[name]
        item = value.get(name)
        if at.ref == POD_SPEC and name == "securityContext":
            host = {go_name(each): value.get(each, None if each in POINTERS else False) for each in _HOST}
            found[go_name(name)] = None if item is None else host | tree(item, inner)
        elif item is None:
            found[go_name(name)] = _zero(at.ref, name, inner)
        else:
            found[go_name(name)] = tree(item, inner)
    return found


def _zero(owner: str, name: str, at: Field) -> Any:
    if at.code == "@":
        return tree({}, at) if name in by_value(owner) else None
    return None if _is_pointer(owner, name) else _SCALARS.get(at.code)


def _is_pointer(owner: str, name: str) -> bool:
    full = f"{owner.rpartition('.')[2]}.{name}"
    return name in text_pointers(owner) or ((name in POINTERS or full in POINTERS) and full not in NO_POINTERS)


def as_struct(value: Any, schema: str) -> Any:
    """A value of a definition as Go's struct in plain data, to be shown in a field error; None stays None."""
    return tree(value, Field("@", ref=schema))


def _indented(value: Any, depth: int) -> str:
    if not value or not isinstance(value, (dict, list)):
        return orjson.dumps(value).decode()
    pad, inner = " " * depth, " " * (depth + 1)
    if isinstance(value, dict):
        parts = [f"{inner}{orjson.dumps(key).decode()}: {_indented(item, depth + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{pad}}}"
    return "[\n" + ",\n".join(inner + _indented(item, depth + 1) for item in value) + f"\n{pad}]"


def diff(old: Any, new: Any, schema: str, keep: Iterable[str] = ()) -> str:
    """The unified diff of two structs of a definition, without a header; of the fields ``keep`` only, when there are some."""
    before, after = tree(old, Field("@", ref=schema)), tree(new, Field("@", ref=schema))
    if names := [go_name(name) for name in keep]:
        before, after = ({name: side[name] for name in side if name in names} for side in (before, after))
    left, right = _indented(before, 0).splitlines(), _indented(after, 0).splitlines()
    shown = list(difflib.unified_diff(left, right, lineterm=""))[2:]
    return "".join(f"{line}\n" for line in shown)
