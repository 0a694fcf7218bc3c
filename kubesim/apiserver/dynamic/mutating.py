"""MutatingAdmissionPolicies: apply configurations and JSON patches that expressions make, applied one after the other.

Upstream: apiserver/pkg/admission/plugin/policy/mutating (dispatcher.go, patch/json_patch.go, patch/smd.go).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kubesim.api import cel
from kubesim.api.cel.values import Struct, to_json
from kubesim.api.errors import ApiError, forbidden
from kubesim.api.fields import typed
from kubesim.api.patch import PatchFailed, apply_operations
from kubesim.api.schema import Field
from kubesim.apiserver.dynamic.expressions import Expression, conditions_hold, expression
from kubesim.apiserver.dynamic.invocations import Invocation
from kubesim.apiserver.dynamic.operation import Operation

Object = dict[str, Any]
APPLY, JSON = "ApplyConfiguration", "JSONPatch"
OBJECT = "Object"


class Mutation(NamedTuple):
    """One mutation of a policy."""

    type: str
    rule: Expression


class Refusal(NamedTuple):
    """An error of a policy."""

    invocation: Invocation
    message: str
    reason: str = ""


class Rounds:
    """What the policies did in the first round, so that the second asks only those that want to be asked again."""

    def __init__(self) -> None:
        self.invoked: set[tuple[str, ...]] = set()
        self.again: set[tuple[str, ...]] = set()

    def changed(self) -> None:
        """The object was changed: all that ran before and may run again are due."""
        self.again |= self.invoked


class _Mismatch(Exception):
    """A mutation that cannot be applied."""


def mutations_of(spec: Mapping[str, Any]) -> Iterator[Mutation]:
    """The mutations of a policy, compiled."""
    for given in spec.get("mutations") or ():
        type_ = given.get("patchType", "")
        part = given.get("applyConfiguration" if type_ == APPLY else "jsonPatch") or {}
        yield Mutation(type_, expression(part.get("expression", "")))


Bind = Callable[[Invocation], Object]
Complete = Callable[[Object], Object]


def mutate(
    operation: Operation, invocations: Iterable[Invocation], bind: Bind, complete: Complete, rounds: Rounds, is_again: bool
) -> bool:
    """Change ``operation.obj``; whether it was changed. ``complete`` decodes and defaults. Raises the ApiError of policies that fail."""
    refused: list[Refusal] = []
    before = operation.obj
    for invocation in invocations:
        policy = invocation.policy
        if invocation.problem:
            refused.append(Refusal(invocation, invocation.problem))
            continue
        bindings = bind(invocation)
        matched = conditions_hold(policy.conditions, bindings, not policy.fails)
        if matched.error:
            refused.append(Refusal(invocation, matched.error, "Invalid"))
        if not matched.holds or (is_again and invocation.identity not in rounds.again):
            continue
        start = operation.obj
        for mutation in policy.parts:
            if operation.obj is None:
                continue
            try:
                operation.obj = complete(_mutated(operation, mutation, bind(invocation)))
            except (cel.CelError, _Mismatch, ApiError) as error:
                refused.append(Refusal(invocation, str(error), "Invalid"))
        if operation.obj != start:
            rounds.changed()
        if policy.obj["spec"].get("reinvocationPolicy") == "IfNeeded":
            rounds.invoked.add(invocation.identity)
    _refuse(operation, [each for each in refused if each.invocation.policy.fails])
    return operation.obj is not before and bool(operation.obj != before)


def _refuse(operation: Operation, refused: list[Refusal]) -> None:
    if not refused:
        return
    texts = []
    for each in refused:
        binding = each.invocation.binding
        name = f"policy '{each.invocation.policy.name}'"
        head = f"{name} with binding '{binding['metadata']['name']}'" if binding is not None else name
        texts.append(f"{head} denied request: {each.message}")
    error = forbidden(operation.resource.name, operation.name or "Unknown", "")
    raise ApiError(403, refused[0].reason or "Forbidden", texts[0], {**error.details, "causes": [{"message": text} for text in texts]})


def _mutated(operation: Operation, mutation: Mutation, bindings: Mapping[str, Any]) -> Object:
    value = mutation.rule.evaluate(bindings)
    obj: Object = operation.obj
    if mutation.type == JSON:
        if not isinstance(value, list):
            raise _Mismatch("type mismatch: JSONPatchType.expression should evaluate to array")
        return _json_patched(obj, value)
    if not isinstance(value, Struct) or value.type_name != OBJECT:
        raise _Mismatch(f"unsupported return type from ApplyConfiguration expression: {cel.type_of(value)}")
    return _applied(obj, value, operation.resource.kind.schema)


def _json_patched(obj: Object, operations: list[Any]) -> Object:
    steps = []
    for each in operations:
        if not isinstance(each, Struct):
            raise _Mismatch("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch")
        if isinstance(each.get("value"), Struct):
            _check_names(each["value"], each["value"].type_name)
        steps.append({key: to_json(value) for key, value in each.items() if key != "from" or value})
    try:
        return apply_operations(obj, steps)
    except PatchFailed as failure:
        if failure.is_test:
            return obj  # a test that fails means that nothing is to be done
        raise _Mismatch(f"JSONPath: {failure}") from None


def _applied(obj: Object, value: Struct, schema: str) -> Object:
    _check_names(value, OBJECT)
    at = Field("@", ref=schema)
    patch = {**to_json(value), "apiVersion": obj["apiVersion"], "kind": obj["kind"]}
    try:
        typed.check(patch, at)
    except typed.Invalid as error:
        raise _Mismatch(f"error applying patch: failed to convert patch object to typed object: {error}") from None
    atomics = [*_atomics(patch, at, "")]
    if atomics:
        why = f"may not mutate atomic arrays, maps or structs: {', '.join(atomics)}"
        raise _Mismatch(f"error applying patch: invalid ApplyConfiguration: {why}")
    merged: Object = typed.merge(obj, patch, at)
    return merged


def _check_names(value: Any, path: str) -> None:
    """An initializer stands where its type says: ``Object.spec{}`` under ``spec``."""
    if isinstance(value, list):
        for item in value:
            _check_names(item, path)
    elif isinstance(value, dict):
        if isinstance(value, Struct) and value.type_name != path:
            why = f'unexpected type name "{value.type_name}", expected "{path}", which matches field name path from root Object type'
            raise _Mismatch(f"type mismatch: {why}")
        for key, item in value.items():
            _check_names(item, f"{path}.{key}")


def _atomics(value: Any, at: Field, path: str) -> Iterator[str]:
    """The paths of the atomic lists and maps in a patch."""
    if not isinstance(value, dict | list):
        return
    shape = typed.shape_of(at, value)
    if shape.atomic and shape.kind != "scalar" and path:
        yield path
        return
    if isinstance(value, dict) and shape.kind == "map":
        for key, item in value.items():
            inner = (shape.fields or {}).get(key, shape.item)
            yield from _atomics(item, inner, f"{path}.{key}")
    elif isinstance(value, list) and shape.kind == "list":
        for index, item in enumerate(value):
            yield from _atomics(item, shape.item, f"{path}[{index}]")
