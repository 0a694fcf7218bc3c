"""The priority levels and flow schemas that every server has: mandatory and suggested ones, as data.

Nothing is queued by them here; clients list and describe them. Upstream: apiserver/pkg/apis/flowcontrol/bootstrap/default.go, and
util/flowcontrol/apf_controller.go for their status.
"""

from collections.abc import Iterator
from typing import Any

from kubesim.apiserver.requests import Request

Object = dict[str, Any]
GROUP = "flowcontrol.apiserver.k8s.io"
LEVELS, SCHEMAS = f"prioritylevelconfigurations.{GROUP}", f"flowschemas.{GROUP}"
MANAGER = {"defaultManager": "api-priority-and-fairness-config-producer-v1"}
STATUS_MANAGER = {"defaultManager": "api-priority-and-fairness-config-consumer-v1"}
_ANNOTATIONS = {"apf.kubernetes.io/autoupdate-spec": "true"}
_USER, _NAMESPACE = {"type": "ByUser"}, {"type": "ByNamespace"}
# name -> shares, lendable percent, queues, hand size, queue length (0: requests are rejected, not queued)
LIMITED_LEVELS = {
    "catch-all": (5, 0, 0, 0, 0),
    "global-default": (20, 50, 128, 6, 50),
    "leader-election": (10, 0, 16, 4, 50),
    "node-high": (40, 25, 64, 6, 50),
    "system": (30, 33, 64, 6, 50),
    "workload-high": (40, 50, 128, 6, 50),
    "workload-low": (100, 90, 128, 6, 50),
}


def _group(name: str) -> Object:
    return {"kind": "Group", "group": {"name": name}}


def _user(name: str) -> Object:
    return {"kind": "User", "user": {"name": name}}


def _account(name: str) -> Object:
    return {"kind": "ServiceAccount", "serviceAccount": {"namespace": "kube-system", "name": name}}


def _rule(verbs: str, groups: str, resources: str, namespaces: str = "*", cluster: bool = False) -> Object:
    rule: Object = {"verbs": verbs.split(), "apiGroups": [group.strip("'") for group in groups.split()], "resources": resources.split()}
    rule |= {"clusterScope": True} if cluster else {}
    return {**rule, "namespaces": namespaces.split()} if namespaces else rule


_ALL = {"resourceRules": [_rule("*", "*", "*", cluster=True)], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}
_LOCKS = ("get create update", "coordination.k8s.io", "leases")
_ENDPOINTS = ("get create update", "''", "endpoints")
_MANAGER, _SCHEDULER, _ACCOUNTS = _user("system:kube-controller-manager"), _user("system:kube-scheduler"), _account("*")
Row = tuple[str, str, int, Object | None, list[Object], Object]
FLOW_SCHEMAS: tuple[Row, ...] = (
    ("exempt", "exempt", 1, None, [_group("system:masters")], _ALL),
    (
        "probes", "exempt", 2, None, [_group("system:unauthenticated"), _group("system:authenticated")],
        {"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]},
    ),
    (
        "system-leader-election", "leader-election", 100, _USER, [_MANAGER, _SCHEDULER, _ACCOUNTS],
        {"resourceRules": [_rule(*_LOCKS)]},
    ),
    (
        "endpoint-controller", "workload-high", 150, _USER, [_MANAGER, _account("endpoint-controller"),
        _account("endpointslicemirroring-controller")], {"resourceRules": [_rule(*_ENDPOINTS)]},
    ),
    ("workload-leader-election", "leader-election", 200, _USER, [_ACCOUNTS], {"resourceRules": [_rule(*_LOCKS)]}),
    (
        "system-node-high", "node-high", 400, _USER, [_group("system:nodes")],
        {
            "resourceRules": [
                _rule("*", "''", "nodes nodes/status", "", cluster=True),
                _rule("*", "coordination.k8s.io", "leases", "kube-node-lease"),
            ]
        },
    ),
    ("system-nodes", "system", 500, _USER, [_group("system:nodes")], _ALL),
    ("kube-controller-manager", "workload-high", 800, _NAMESPACE, [_MANAGER], _ALL),
    ("kube-scheduler", "workload-high", 800, _NAMESPACE, [_SCHEDULER], _ALL),
    ("kube-system-service-accounts", "workload-high", 900, _NAMESPACE, [_ACCOUNTS], _ALL),
    ("service-accounts", "workload-low", 9000, _USER, [_group("system:serviceaccounts")], _ALL),
    ("global-default", "global-default", 9900, _USER, [_group("system:unauthenticated"), _group("system:authenticated")], _ALL),
    ("catch-all", "catch-all", 10000, _USER, [_group("system:unauthenticated"), _group("system:authenticated")], _ALL),
)  # fmt: skip


def flow_control_requests(user: str, now: str) -> Iterator[Request]:
    """The creates of the levels and the schemas, then what the controller of the schemas says of each: its level is there."""
    for name in ("exempt", *LIMITED_LEVELS):
        level = _object("PriorityLevelConfiguration", name, _exempt() if name == "exempt" else _limited(*LIMITED_LEVELS[name]))
        yield Request("create", LEVELS, "", name, level, options=MANAGER, user=user)
    schemas = [(row[0], _schema(row)) for row in FLOW_SCHEMAS]
    for name, schema in schemas:
        yield Request("create", SCHEMAS, "", name, schema, options=MANAGER, user=user)
    for name, schema in schemas:
        level = schema["spec"]["priorityLevelConfiguration"]["name"]
        message = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}" and it exists'
        found = {"type": "Dangling", "status": "False", "lastTransitionTime": now, "reason": "Found", "message": message}
        body = {"status": {"conditions": [found]}}
        yield Request("patch", SCHEMAS, "", name, body, "status", {**STATUS_MANAGER, "patchType": "merge"}, user)


def _object(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name, "annotations": _ANNOTATIONS}, "spec": spec}


def _exempt() -> Object:
    return {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}


def _limited(shares: int, lendable: int, queues: int, hand: int, length: int) -> Object:
    response: Object = {"type": "Reject"}
    if queues:
        response = {"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": length}}
    return {"type": "Limited", "limited": {"nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response}}


def _schema(row: Row) -> Object:
    name, level, precedence, method, subjects, rules = row
    spec: Object = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence}
    spec |= {"distinguisherMethod": method} if method else {}
    return _object("FlowSchema", name, {**spec, "rules": [{"subjects": subjects, **rules}]})
