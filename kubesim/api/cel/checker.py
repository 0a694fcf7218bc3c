"""Types of a parsed expression: every node gets its type, every call the overloads that fit; what does not fit is told in cel-go's words.

All errors of an expression are found, in the order of their places. Upstream: cel-go checker/checker.go and errors.go.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kubesim.api.cel.declarations import FUNCTION_OVERLOADS, METHOD_OVERLOADS, OPERATORS, Overload
from kubesim.api.cel.errors import CompileError
from kubesim.api.cel.evaluation import NAMESPACED, TYPES
from kubesim.api.cel.parser import Node, parse
from kubesim.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    ERROR,
    INT,
    NULL,
    STRING,
    UINT,
    Bindings,
    Type,
    list_of,
    map_of,
    optional_of,
)
from kubesim.api.cel.values import UInt

Fields = Callable[[Type, str], Type | None]
Names = Mapping[str, Type]
AUTHORIZER = "kubernetes.authorization.Authorizer"
REQUEST_RESOURCE = Type("kubernetes.authorization.ResourceCheck")
LITERALS: tuple[tuple[type, Type], ...] = ((bool, BOOL), (UInt, UINT), (int, INT), (float, DOUBLE), (str, STRING), (bytes, BYTES))


class Checked(NamedTuple):
    """A checked expression: types and overloads by the identity of its nodes, which ``root`` keeps alive."""

    root: Node
    type: Type
    types: Mapping[int, Type]
    overloads: Mapping[int, tuple[str, ...]]
    names: frozenset[str]  # the variables that it names


def check(source: str, variables: Names, fields: Fields) -> Checked:
    """Check an expression; ``fields(type, name)`` gives the type of an object's field, or None. Raises CompileError with every error."""
    root = parse(source)
    checker = _Checker(source, fields)
    type_ = checker.type_of(root, dict(variables))
    if checker.errors:
        found = sorted(checker.errors, key=lambda error: error.place)
        raise found[0] if len(found) == 1 else joined(found)
    return Checked(root, type_, checker.types, checker.overloads, frozenset(checker.names & variables.keys()))


def joined(errors: Sequence[CompileError]) -> CompileError:
    """Several errors as one."""
    whole = CompileError("", 0, "")
    whole.args = ("\n".join(str(error) for error in errors),)
    return whole


class _Checker:
    def __init__(self, source: str, fields: Fields) -> None:
        self._source = source
        self._fields = fields
        self.types: dict[int, Type] = {}
        self.overloads: dict[int, tuple[str, ...]] = {}
        self.errors: list[CompileError] = []
        self.names: set[str] = set()

    def type_of(self, node: Node, names: Names) -> Type:
        found: Type = getattr(self, f"_{node.kind}")(node, names)
        self.types[id(node)] = found
        return found

    def _fail(self, node: Node, why: str) -> Type:
        self.errors.append(CompileError(self._source, node.position, why))
        return ERROR

    # ---- leaves and members --------------------------------------------------------------------------------------------------

    def _literal(self, node: Node, names: Names) -> Type:
        value = node.parts[0]
        return next((type_ for kind, type_ in LITERALS if isinstance(value, kind)), NULL)

    def _name(self, node: Node, names: Names) -> Type:
        name = node.parts[0]
        self.names.add(name)
        if name in names:
            return names[name]
        if name in TYPES:
            return Type("type", (Type(name.removesuffix("_type")),))
        return self._fail(node, f"undeclared reference to '{name}' (in container '')")

    def _select(self, node: Node, names: Names) -> Type:
        of, field, is_optional = node.parts
        found = self._field(node, self.type_of(of, names), field)
        if is_optional and found.name != "optional":
            return optional_of(found)
        return found

    def _has(self, node: Node, names: Names) -> Type:
        of, field = node.parts
        found = self._field(node, self.type_of(of, names), field)
        return ERROR if found == ERROR else BOOL

    def _field(self, node: Node, of: Type, field: str) -> Type:
        if of.name == "optional":
            found = self._field(node, of.parameters[0], field)
            return found if found == ERROR else optional_of(found)
        if of in (DYN, ERROR) or of.is_parameter:
            return of if of != ERROR else ERROR
        if of.name == "map":
            return of.parameters[1]
        if of.name == AUTHORIZER and field == "requestResource":
            return REQUEST_RESOURCE
        if of.name != "object":
            return self._fail(node, f"type '{of}' does not support field selection")
        known = self._fields(of, field)
        return known if known is not None else self._fail(node, f"undefined field '{field}'")

    def _index(self, node: Node, names: Names) -> Type:
        of, key, is_optional = node.parts
        container, given = self.type_of(of, names), self.type_of(key, names)
        if ERROR in (container, given):
            return ERROR
        found: Type | None = None
        inner = container.parameters[0] if container.name == "optional" else container
        if inner in (DYN,) or given == DYN:
            found = inner.parameters[-1] if inner.parameters else DYN
            self.overloads[id(node)] = ("index_list",) if inner.name == "list" else ("index_map",)
        elif inner.name == "list" and given == INT:
            found = inner.parameters[0]
            self.overloads[id(node)] = ("index_list",)
        elif inner.name == "map" and Bindings().accepts(inner.parameters[0], given):
            found = inner.parameters[1]
            self.overloads[id(node)] = ("index_map",)
        if found is None:
            operator = "_[?_]" if is_optional else "_[_]"
            return self._fail(node, f"found no matching overload for '{operator}' applied to '({container}, {given})'")
        return optional_of(found) if is_optional or container.name == "optional" else found

    # ---- aggregates ----------------------------------------------------------------------------------------------------------

    def _list(self, node: Node, names: Names) -> Type:
        item: Type | None = None
        for each, is_optional in node.parts:
            found = self.type_of(each, names)
            if is_optional and found.name == "optional":
                found = found.parameters[0]
            item = self._common(each, item, found)
        return list_of(item if item is not None else Type("A"))

    def _map(self, node: Node, names: Names) -> Type:
        key: Type | None = None
        value: Type | None = None
        for each_key, each, is_optional in node.parts:
            key = self._common(each_key, key, self.type_of(each_key, names))
            found = self.type_of(each, names)
            if is_optional and found.name == "optional":
                found = found.parameters[0]
            value = self._common(each, value, found)
        return map_of(key or Type("A"), value or Type("B"))

    def _common(self, node: Node, before: Type | None, found: Type) -> Type:
        if before is None or before == found:
            return found
        if ERROR in (before, found):
            return ERROR
        if Bindings().accepts(before, found):
            return DYN if DYN in (before, found) else before
        if Bindings().accepts(found, before):
            return found
        return self._fail(node, f"expected type '{before}' but found '{found}'")

    def _struct(self, node: Node, names: Names) -> Type:
        name, given = node.parts
        for _, value, _ in given:
            self.type_of(value, names)
        return Type("object", (), name)

    def _bind(self, node: Node, names: Names) -> Type:
        name, value, body = node.parts
        return self.type_of(body, {**names, name: self.type_of(value, names)})

    # ---- calls ---------------------------------------------------------------------------------------------------------------

    def _call(self, node: Node, names: Names) -> Type:
        function, receiver, arguments = node.parts
        if receiver is not None and receiver.kind == "name" and receiver.parts[0] in NAMESPACED and receiver.parts[0] not in names:
            function, receiver = f"{receiver.parts[0]}.{function}", None
        given = [self.type_of(each, names) for each in ((receiver, *arguments) if receiver is not None else arguments)]
        known = METHOD_OVERLOADS if receiver is not None else FUNCTION_OVERLOADS
        if function not in FUNCTION_OVERLOADS and function not in METHOD_OVERLOADS:
            return self._fail(node, f"undeclared reference to '{function}' (in container '')")
        if ERROR in given:
            return ERROR
        return self._resolved(node, function, known.get(function, ()), given, receiver is not None)

    def _resolved(self, node: Node, function: str, overloads: Sequence[Overload], given: Sequence[Type], is_method: bool) -> Type:
        result: Type | None = None
        ids = []
        for overload in overloads:
            bindings = Bindings()
            if len(overload.arguments) != len(given):
                continue
            if not all(bindings.accepts(wanted, each) for wanted, each in zip(overload.arguments, given)):
                continue
            found = bindings.resolved(overload.result)
            ids.append(overload.id)
            result = found if result is None or result == found else DYN
        if result is None:
            texts = [str(each) for each in given]
            shown = f"{texts[0]}.({', '.join(texts[1:])})" if is_method else f"({', '.join(texts)})"
            return self._fail(node, f"found no matching overload for '{OPERATORS.get(function, function)}' applied to '{shown}'")
        self.overloads[id(node)] = tuple(ids)
        return result

    # ---- comprehensions ------------------------------------------------------------------------------------------------------

    def _comprehend(self, node: Node, names: Names) -> Type:
        macro, of, variables, expressions = node.parts
        container = self.type_of(of, names)
        if macro in ("optMap", "optFlatMap"):
            return self._on_optional(node, container, variables[0], expressions[0], names)
        bound = self._bound(of, container, len(variables))
        inner = {**names, **dict(zip(variables, bound))}
        found = [self.type_of(expression, inner) for expression in expressions]
        if container == ERROR or ERROR in found:
            return ERROR
        if macro in ("all", "exists"):
            return self._predicate(node, "&&" if macro == "all" else "||", [BOOL, found[0]], BOOL)
        if macro in ("exists_one", "existsOne"):
            return self._predicate(node, "_?_:_", [found[0], INT, INT], BOOL)
        if macro == "filter":
            whole = list_of(bound[0])
            return self._predicate(node, "_?_:_", [found[0], whole, whole], whole)
        whole = map_of(bound[0], found[-1]) if macro == "transformMap" else list_of(found[-1])
        return self._predicate(node, "_?_:_", [found[0], whole, whole], whole) if len(found) == 2 else whole

    def _predicate(self, node: Node, function: str, given: list[Type], result: Type) -> Type:
        """The call that a macro hides, whose types have to fit."""
        found = self._resolved(node, function, FUNCTION_OVERLOADS[function], given, False)
        self.overloads.pop(id(node), None)
        return ERROR if found == ERROR else result

    def _bound(self, of: Node, container: Type, count: int) -> list[Type]:
        if container.name == "list":
            item = container.parameters[0]
            return [item] if count == 1 else [INT, item]
        if container.name == "map":
            return list(container.parameters[:count])
        if container in (DYN, ERROR):
            return [container] * count
        why = f"expression of type '{container}' cannot be range of a comprehension (must be list, map, or dynamic)"
        return [self._fail(of, why)] * count

    def _on_optional(self, node: Node, container: Type, variable: str, expression: Node, names: Names) -> Type:
        if container.name != "optional" and container not in (DYN, ERROR):
            return self._fail(node, f"found no matching overload for 'hasValue' applied to '{container}.()'")
        inner = container.parameters[0] if container.parameters else container
        found = self.type_of(expression, {**names, variable: inner})
        return found if node.parts[0] == "optFlatMap" or found == ERROR else optional_of(found)
