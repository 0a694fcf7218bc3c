"""Which policies apply to an operation: policy, binding and parameter, one invocation each, in the order of their names.

Upstream: apiserver/pkg/admission/plugin/policy/generic (policy_source.go, policy_matcher.go, policy_dispatcher.go: CollectParams).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kubesim.api import selectors
from kubesim.api.errors import ApiError
from kubesim.apiserver.dynamic.expressions import Expression, expression
from kubesim.apiserver.dynamic.matching import matched_version
from kubesim.apiserver.dynamic.operation import Operation
from kubesim.apiserver.registry import Resource

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
FAIL, IGNORE = "Fail", "Ignore"


class Policy(NamedTuple):
    """A policy with its bindings, compiled. ``parts`` are its validations or mutations, as its kind needs them."""

    obj: Object
    bindings: tuple[Object, ...]
    conditions: tuple[Expression, ...]
    variables: Mapping[str, Expression]
    parts: tuple[Any, ...]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.obj["metadata"]["name"])

    @property
    def fails(self) -> bool:
        """Whether an error refuses the request."""
        return self.obj["spec"].get("failurePolicy") != IGNORE


class Invocation(NamedTuple):
    """One evaluation to be done; ``problem`` says that it cannot be. ``binding`` is None for a problem of the policy itself."""

    policy: Policy
    binding: Object | None
    version: str
    params: Object | None = None
    problem: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What tells it from others, for reinvocation."""
        metadata = (self.params or {}).get("metadata") or {}
        binding = self.binding["metadata"]["name"] if self.binding is not None else ""
        return self.policy.name, binding, metadata.get("namespace", ""), metadata.get("name", "")


def compiled(policies: Iterable[Object], bindings: Iterable[Object], parts: Callable[[Object], Iterable[Any]]) -> tuple[Policy, ...]:
    """The policies that are bound, in the order of their names."""
    by_policy: dict[str, list[Object]] = {}
    for binding in bindings:
        by_policy.setdefault(binding["spec"].get("policyName", ""), []).append(binding)
    found = []
    for policy in policies:
        bound, spec = by_policy.get(policy["metadata"]["name"]), policy["spec"]
        if bound:
            conditions = tuple(expression(each.get("expression", "")) for each in spec.get("matchConditions") or ())
            variables = {each["name"]: expression(each.get("expression", "")) for each in spec.get("variables") or ()}
            found.append(Policy(policy, tuple(bound), conditions, variables, tuple(parts(spec))))
    return tuple(found)


def invocations(server: "ApiServer", policies: Sequence[Policy], operation: Operation, versions: Sequence[str]) -> list[Invocation]:
    """What is to be evaluated for an operation."""
    found: list[Invocation] = []

    def namespaces(name: str) -> Object | None:
        return server.peek("namespaces", "", name)

    for policy in policies:
        spec = policy.obj["spec"]
        try:
            version = matched_version(spec.get("matchConstraints") or {}, operation, versions, namespaces)
        except ApiError as error:
            found.append(Invocation(policy, None, versions[0], None, f"failed to configure policy: {error.message}"))
            continue
        if not version:
            continue
        kind, problem = _param_resource(server, spec.get("paramKind"))
        if problem:
            found.append(Invocation(policy, None, version, None, f"failed to configure policy: {problem}"))
            continue
        for binding in policy.bindings:
            try:
                match = binding["spec"].get("matchResources")
                if match and not matched_version(match, operation, versions, namespaces):
                    continue
                params = _params(server, kind, binding["spec"].get("paramRef"), operation.namespace)
            except (ApiError, _BadParams) as error:
                found.append(Invocation(policy, binding, version, None, f"failed to configure binding: {error}"))
                continue
            found += [Invocation(policy, binding, version, each) for each in params]
    return found


class _BadParams(Exception):
    """Why a binding's parameters cannot be had."""


def _param_resource(server: "ApiServer", kind: Mapping[str, str] | None) -> tuple[Resource | None, str]:
    if kind is None:
        return None, ""
    found = server.registry.by_type.get((kind.get("apiVersion", ""), kind.get("kind", "")))
    if found is not None:
        return found, ""
    group, _, version = kind.get("apiVersion", "").rpartition("/")
    shown = f"{group}/{version}, Kind={kind.get('kind', '')}"
    return None, f"failed to find resource referenced by paramKind: '{shown}'"


def _params(server: "ApiServer", kind: Resource | None, reference: Mapping[str, Any] | None, namespace: str) -> list[Object | None]:
    """The parameters of a binding; one None when there are none to be had. Raises _BadParams."""
    if kind is None or reference is None:
        return [None]
    if kind.namespaced:
        namespace = reference.get("namespace") or namespace
        if not namespace:
            raise _BadParams("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    elif reference.get("namespace"):
        raise _BadParams("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    found: list[Object | None] = []
    if reference.get("name"):
        param = server.peek(kind.name, namespace if kind.namespaced else "", reference["name"])
        found = [] if param is None else [param]
    else:
        matches = selectors.from_object(reference.get("selector") or {}).matches
        listed = server.peek_all(kind.name, namespace if kind.namespaced else "")
        found = [each for each in listed if matches(each["metadata"].get("labels") or {})]
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise _BadParams("no params found for policy binding with `Deny` parameterNotFoundAction")
    return found
