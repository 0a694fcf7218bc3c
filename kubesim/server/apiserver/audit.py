"""The audit log: a line of JSON for each stage of each request that the policy wants to know of.

Levels, stages, rules and events are those of audit.k8s.io/v1. As upstream, nothing is logged without a policy. Events are written in the
order they happen, each with one write, so that a killed server leaves whole lines.

Upstream: apiserver/pkg/audit (policy/checker.go, request.go), apiserver/pkg/endpoints/filters/audit.go, plugin/pkg/audit/log.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson
import yaml

from kubesim.kernel.time import format_micro_time
from kubesim.server.apiserver.call import Call

Object = dict[str, Any]
API_VERSION = "audit.k8s.io/v1"
NONE, METADATA, REQUEST, REQUEST_RESPONSE = LEVELS = ("None", "Metadata", "Request", "RequestResponse")
RECEIVED, STARTED, COMPLETE, PANIC = STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
POLICY_FIELDS = ("apiVersion", "kind", "metadata", "omitManagedFields", "omitStages", "rules")
RULE_FIELDS = (
    "level", "namespaces", "nonResourceURLs", "omitManagedFields", "omitStages", "resources", "userGroups", "users", "verbs",
)  # fmt: skip
RESOURCE_FIELDS = ("group", "resourceNames", "resources")
LINE_BYTES_MAX = 1 << 20  # of a body in an event; a longer one is left out


class Rule(NamedTuple):
    """A rule; an empty part fits everything."""

    level: str
    users: Sequence[str]
    groups: Sequence[str]
    verbs: Sequence[str]
    resources: Sequence[Mapping[str, Any]]
    namespaces: Sequence[str]
    paths: Sequence[str]
    omitted_stages: frozenset[str]
    omits_managed_fields: bool


class Policy(NamedTuple):
    """Rules in order; the first that fits counts."""

    rules: Sequence[Rule]


class Record(NamedTuple):
    """What is known of a request under way."""

    level: str
    omitted_stages: frozenset[str]
    omits_managed_fields: bool
    event: Object


def read_policy(path: str) -> Policy:
    """The policy in a file. Raises ValueError naming file, field, value and expectation."""
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"--audit-policy-file {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"--audit-policy-file {path}: {str(error).splitlines()[0]}; expected YAML") from None
    try:
        return policy_of(document)
    except ValueError as error:
        raise ValueError(f"--audit-policy-file {path}: {error}") from None


def policy_of(document: Any) -> Policy:
    """A Policy from its object. Raises ValueError."""
    if not isinstance(document, dict) or (document.get("apiVersion"), document.get("kind")) != (API_VERSION, "Policy"):
        raise ValueError(f"expected an object of apiVersion {API_VERSION} and kind Policy")
    _known_fields(document, POLICY_FIELDS, "")
    rules = document.get("rules")
    if not isinstance(rules, list) or not rules:
        raise ValueError("rules: expected at least one rule")
    common = _stages(document.get("omitStages"), "omitStages")
    omits = bool(document.get("omitManagedFields"))
    return Policy([_rule(rule, f"rules[{index}]", common, omits) for index, rule in enumerate(rules)])


def _rule(rule: Any, path: str, common: frozenset[str], omits: bool) -> Rule:
    if not isinstance(rule, dict):
        raise ValueError(f"{path}: {rule!r}: expected an object")
    _known_fields(rule, RULE_FIELDS, f"{path}.")
    if rule.get("level") not in LEVELS:
        raise ValueError(f"{path}.level: {rule.get('level')!r}: expected one of {', '.join(LEVELS)}")
    resources = _list(rule, "resources", path)
    for index, each in enumerate(resources):
        if not isinstance(each, dict):
            raise ValueError(f"{path}.resources[{index}]: {each!r}: expected an object")
        _known_fields(each, RESOURCE_FIELDS, f"{path}.resources[{index}].")
    paths = _list(rule, "nonResourceURLs", path)
    if paths and (resources or rule.get("namespaces")):
        raise ValueError(f"{path}.nonResourceURLs: {paths}: expected either these or resources and namespaces")
    return Rule(
        rule["level"], _list(rule, "users", path), _list(rule, "userGroups", path), _list(rule, "verbs", path), resources,
        _list(rule, "namespaces", path), paths, common | _stages(rule.get("omitStages"), f"{path}.omitStages"),
        bool(rule.get("omitManagedFields", omits)),
    )  # fmt: skip


def _known_fields(value: Mapping[str, Any], known: Sequence[str], path: str) -> None:
    for name in value:
        if name not in known:
            raise ValueError(f"{path}{name}: an unknown field; expected some of {', '.join(known)}")


def _list(rule: Mapping[str, Any], name: str, path: str) -> list[Any]:
    value = rule.get(name) or []
    if not isinstance(value, list):
        raise ValueError(f"{path}.{name}: {value!r}: expected a list")
    return value


def _stages(value: Any, path: str) -> frozenset[str]:
    for stage in value or ():
        if stage not in STAGES:
            raise ValueError(f"{path}: {stage!r}: expected some of {', '.join(STAGES)}")
    return frozenset(value or ())


def fits(rule: Rule, call: Call) -> bool:
    """Whether a rule is about a request."""
    target, user = call.target, call.authenticated
    if rule.users and user.name not in rule.users:
        return False
    if rule.groups and not set(user.groups) & set(rule.groups):
        return False
    if rule.verbs and target.verb not in rule.verbs:
        return False
    if rule.namespaces or rule.resources:
        return target.is_resource and _fits_resource(rule, call)
    if rule.paths:
        path = unquote(call.path)
        return not target.is_resource and any(
            path == each or (each.endswith("*") and path.startswith(each[:-1])) for each in rule.paths
        )
    return True


def _fits_resource(rule: Rule, call: Call) -> bool:
    target = call.target
    if rule.namespaces and target.namespace not in rule.namespaces:
        return False
    combined = f"{target.resource}/{target.subresource}" if target.subresource else target.resource
    for each in rule.resources:
        if each.get("group", "") != target.group:
            continue
        names, kinds = each.get("resourceNames") or (), each.get("resources") or ()
        wanted = ("*", combined, f"{target.resource}/*", *((f"*/{target.subresource}",) if target.subresource else ()))
        if not kinds:
            return True
        if any(kind in wanted for kind in kinds) and (not names or target.name in names):
            return True
    return not rule.resources


class Audit:
    """The log of one server: events of its requests by a policy, to a file or, by ``-``, to standard output."""

    def __init__(self, policy: Policy, path: str, now_ns: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._policy = policy
        self._now_ns = now_ns
        self._new_id = new_id
        self._is_standard = path == "-"
        self._file: Any = sys.stdout.buffer if self._is_standard else open(path, "ab")  # noqa: SIM115

    def close(self) -> None:
        """Close the file."""
        if not self._is_standard:
            self._file.close()

    def received(self, call: Call) -> Record:
        """Begin with a request whose sender is known."""
        rule = next((rule for rule in self._policy.rules if fits(rule, call)), None)
        if rule is None or rule.level == NONE:
            return Record(NONE, frozenset(), False, {})
        target, now = call.target, format_micro_time(self._now_ns())
        event: Object = {
            "kind": "Event", "apiVersion": API_VERSION, "level": rule.level, "auditID": call.headers.get("audit-id") or self._new_id(),
            "stage": RECEIVED, "requestURI": call.uri, "verb": target.verb, "user": call.authenticated.info,
        }  # fmt: skip
        if call.user is not call.authenticated:
            event["impersonatedUser"] = call.user.info
        event["sourceIPs"] = [call.client]
        if call.headers.get("user-agent"):
            event["userAgent"] = call.headers["user-agent"]
        if target.is_resource:
            named = (
                ("resource", target.resource), ("namespace", target.namespace), ("name", target.name), ("apiGroup", target.group),
                ("apiVersion", target.version), ("subresource", target.subresource),
            )  # fmt: skip
            event["objectRef"] = {key: value for key, value in named if value}
        event["requestReceivedTimestamp"] = now
        record = Record(rule.level, rule.omitted_stages, rule.omits_managed_fields, event)
        self._write(record, RECEIVED, event)
        return record

    def started(self, call: Call, record: Record) -> None:
        """An answer that goes on has begun."""
        if record.level != NONE:
            self._write(record, STARTED, {**record.event, "responseStatus": {"metadata": {}, "code": 200}, **_decided(call)})

    def complete(self, call: Call, record: Record, status: int, body: bytes = b"", stage: str = COMPLETE) -> None:
        """An answer is complete."""
        if record.level == NONE:
            return
        event = dict(record.event)
        answer = _json(body) if status >= 400 or record.level == REQUEST_RESPONSE else None
        told: Object = {"metadata": {}, "code": status}
        if status >= 400 and isinstance(answer, dict) and answer.get("kind") == "Status":
            told = {
                "metadata": {},
                **{key: answer[key] for key in ("status", "message", "reason", "details") if key in answer},
                "code": status,
            }
        event["responseStatus"] = told
        is_body_wanted = record.level in (REQUEST, REQUEST_RESPONSE) and call.target.is_resource
        sent = _json(call.body) if is_body_wanted else None
        if sent is not None:
            event["requestObject"] = _shown(sent, record)
        if record.level == REQUEST_RESPONSE and answer is not None and call.target.is_resource:
            event["responseObject"] = _shown(answer, record)
        self._write(record, stage, {**event, **_decided(call)})

    def _write(self, record: Record, stage: str, event: Object) -> None:
        if stage in record.omitted_stages:
            return
        line = {**event, "stage": stage, "stageTimestamp": format_micro_time(self._now_ns())}
        self._file.write(orjson.dumps(line, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE))
        self._file.flush()


def _decided(call: Call) -> Object:
    if call.decision is None:
        return {}
    allowed, reason = call.decision
    annotations = {"authorization.k8s.io/decision": "allow" if allowed else "forbid", "authorization.k8s.io/reason": reason}
    return {"annotations": annotations}


def _json(body: bytes) -> Any:
    if not body or len(body) > LINE_BYTES_MAX:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _shown(value: Any, record: Record) -> Any:
    """A body as it is logged, without its managers if the policy says so."""
    if not record.omits_managed_fields or not isinstance(value, dict):
        return value
    if isinstance(value.get("items"), list):
        value = {**value, "items": [_shown(item, record) for item in value["items"]]}
    metadata = value.get("metadata")
    if isinstance(metadata, dict) and "managedFields" in metadata:
        value = {**value, "metadata": {key: each for key, each in metadata.items() if key != "managedFields"}}
    return value
