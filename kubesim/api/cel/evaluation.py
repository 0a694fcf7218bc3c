"""A tree made into Python closures: ``(scope) -> value``. Errors of ``&&``, ``||``, ``all`` and ``exists`` count only where they decide.

A name that is neither a variable nor a function known here is a CompileError; types are looked at when values meet.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from kubesim.api.cel.authorizer import Authorizer, Question
from kubesim.api.cel.errors import CelError, CompileError
from kubesim.api.cel.functions import FUNCTIONS, METHODS
from kubesim.api.cel.parser import Node, parse
from kubesim.api.cel.values import INT_MAX, NONE, Optional, Struct, Type, equal

Scope = dict[str, Any]
Closure = Callable[[Scope], Any]
TYPES = {
    name: Type(name) for name in ("bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type", "optional_type")
}
NAMESPACED = ("optional", "strings", "math", "base64", "google", "sets", "ip", "jsonpatch")  # words in front of a function's name
OBJECT, PATCH = "Object", "JSONPatch"  # the types that expressions may make, of mutating policies
STEPS_MAX = 10_000_000  # of all loops of one evaluation: upstream's cost limit stops it too


class Program:
    """A compiled expression. ``evaluate(bindings)`` gives its value, or raises CelError."""

    __slots__ = ("_run", "source")

    def __init__(self, source: str, run: Closure) -> None:
        self.source = source
        self._run = run

    def evaluate(self, bindings: Mapping[str, Any]) -> Any:
        """The value with these variables; JSON-shaped values go in as they are."""
        try:
            return self._run({**bindings, "": [STEPS_MAX]})
        except RecursionError:
            raise CelError("expression is nested too deeply") from None


def compile_expression(source: str, variables: Collection[str]) -> Program:
    """Compile; ``variables`` are the names that evaluation will bind. Raises CompileError."""
    return Program(source, _Compiler(source).compile(parse(source), frozenset(variables)))


class _Compiler:
    def __init__(self, source: str) -> None:
        self._source = source

    def compile(self, node: Node, names: frozenset[str]) -> Closure:
        return getattr(self, f"_{node.kind}")(node, names)

    def _literal(self, node: Node, names: frozenset[str]) -> Closure:
        value = node.parts[0]
        if type(value) is int and value > INT_MAX:
            raise CompileError(self._source, node.position, "invalid int literal")
        return lambda scope: value

    def _name(self, node: Node, names: frozenset[str]) -> Closure:
        name = node.parts[0]
        if name in names:
            return lambda scope: scope[name]
        if name in TYPES:
            found = TYPES[name]
            return lambda scope: found
        raise CompileError(self._source, node.position, f"undeclared reference to '{name}' (in container '')")

    def _select(self, node: Node, names: frozenset[str]) -> Closure:
        of, field, is_optional = node.parts
        get = self.compile(of, names)
        if is_optional:
            return lambda scope: _optional_key(get(scope), field)
        return lambda scope: _key(get(scope), field)

    def _has(self, node: Node, names: frozenset[str]) -> Closure:
        of, field = node.parts
        get = self.compile(of, names)

        def has(scope: Scope) -> bool:
            value = get(scope)
            if isinstance(value, Optional):
                return bool(value.values) and field in value.values[0]
            if not isinstance(value, Mapping):
                raise CelError("no such overload")
            return field in value

        return has

    def _index(self, node: Node, names: frozenset[str]) -> Closure:
        of, key, is_optional = node.parts
        get, get_key = self.compile(of, names), self.compile(key, names)
        look_up = _optional_key if is_optional else _key
        return lambda scope: look_up(get(scope), get_key(scope))

    def _list(self, node: Node, names: frozenset[str]) -> Closure:
        items = [(self.compile(item, names), is_optional) for item, is_optional in node.parts]

        def make(scope: Scope) -> list[Any]:
            found: list[Any] = []
            for item, is_optional in items:
                value = item(scope)
                if is_optional:
                    found.extend(value.values)
                else:
                    found.append(value)
            return found

        return make

    def _map(self, node: Node, names: frozenset[str]) -> Closure:
        entries = [(self.compile(key, names), self.compile(value, names), is_optional) for key, value, is_optional in node.parts]

        def make(scope: Scope) -> dict[Any, Any]:
            found: dict[Any, Any] = {}
            for get_key, get, is_optional in entries:
                key, value = get_key(scope), get(scope)
                if not isinstance(key, str | int | bool):
                    raise CelError("unsupported key type")
                if key in found:
                    raise CelError(f"insert failed: key {key} already exists")
                if not is_optional:
                    found[key] = value
                elif value.values:
                    found[key] = value.values[0]
            return found

        return make

    def _struct(self, node: Node, names: frozenset[str]) -> Closure:
        name, given = node.parts
        if name != PATCH and name.partition(".")[0] != OBJECT:
            raise CompileError(self._source, node.position, f"undeclared reference to '{name}' (in container '')")
        fields = [(field, self.compile(value, names), is_optional) for field, value, is_optional in given]

        def make(scope: Scope) -> Struct:
            found = Struct(name)
            for field, get, is_optional in fields:
                value = get(scope)
                if not is_optional:
                    found[field] = value
                elif value.values:
                    found[field] = value.values[0]
            return found

        return make

    def _bind(self, node: Node, names: frozenset[str]) -> Closure:
        name, value, body = node.parts
        get, run = self.compile(value, names), self.compile(body, names | {name})
        return lambda scope: run({**scope, name: get(scope)})

    # ---- calls ---------------------------------------------------------------------------------------------------------------

    def _call(self, node: Node, names: frozenset[str]) -> Closure:
        function, receiver, arguments = node.parts
        if function in ("&&", "||", "_?_:_"):
            return self._logic(function, [self.compile(argument, names) for argument in arguments])
        if receiver is not None and receiver.kind == "name" and receiver.parts[0] in NAMESPACED and receiver.parts[0] not in names:
            function, receiver = f"{receiver.parts[0]}.{function}", None
        parts = [self.compile(argument, names) for argument in arguments]
        known = FUNCTIONS if receiver is None else METHODS
        if function not in known:
            raise CompileError(self._source, node.position, f"undeclared reference to '{function}' (in container '')")
        apply = known[function]
        if receiver is not None:
            parts.insert(0, self.compile(receiver, names))

        def call(scope: Scope) -> Any:
            values = [part(scope) for part in parts]
            try:
                return apply(*values)
            except (TypeError, AttributeError) as error:  # a number of arguments, or a type, that the function does not have
                raise CelError("no such overload") from error

        return call

    def _logic(self, function: str, parts: list[Closure]) -> Closure:
        first, second = parts[0], parts[1]
        if function == "_?_:_":
            third = parts[2]

            def choose(scope: Scope) -> Any:
                condition = first(scope)
                if not isinstance(condition, bool):
                    raise CelError("no such overload")
                return second(scope) if condition else third(scope)

            return choose
        decides = function == "||"

        def either(scope: Scope) -> bool:
            error: CelError | None = None
            for part in (first, second):
                try:
                    value = part(scope)
                    if value is decides:
                        return decides
                    if not isinstance(value, bool):
                        raise CelError("no such overload")
                except CelError as found:
                    error = error or found
            if error is not None:
                raise error
            return not decides

        return either

    # ---- comprehensions ------------------------------------------------------------------------------------------------------

    def _comprehend(self, node: Node, names: frozenset[str]) -> Closure:
        macro, of, variables, expressions = node.parts
        get = self.compile(of, names)
        inner = [self.compile(expression, names | set(variables)) for expression in expressions]
        if macro in ("optMap", "optFlatMap"):
            return _on_optional(get, variables[0], inner[0], macro == "optMap")
        run = _MACROS[macro]

        def comprehend(scope: Scope) -> Any:
            budget = scope[""]
            values = get(scope)
            pairs = _pairs(values, len(variables))
            budget[0] -= len(pairs)
            if budget[0] < 0:
                raise CelError("operation cancelled: actual cost limit exceeded")
            mine = dict(scope)

            def each(which: Closure, pair: tuple[Any, ...]) -> Any:
                mine.update(zip(variables, pair))
                return which(mine)

            return run(pairs, each, inner, isinstance(values, Mapping))

        return comprehend


def _pairs(values: Any, count: int) -> list[tuple[Any, ...]]:
    """What the variables go through: (item) or (index, item) of a list, (key) or (key, value) of a map."""
    if isinstance(values, Mapping):
        return [(key,) for key in values] if count == 1 else list(values.items())
    if isinstance(values, list):
        return [(value,) for value in values] if count == 1 else list(enumerate(values))
    raise CelError("no such overload")


Each = Callable[[Closure, tuple[Any, ...]], Any]


def _decide(decides: bool) -> Callable[..., bool]:
    def run(pairs: list[tuple[Any, ...]], each: Each, inner: list[Closure], _: bool) -> bool:
        error: CelError | None = None
        for pair in pairs:
            try:
                value = each(inner[0], pair)
                if value is decides:
                    return decides
                if not isinstance(value, bool):
                    raise CelError("no such overload")
            except CelError as found:
                error = error or found
        if error is not None:
            raise error
        return not decides

    return run


def _test(value: Any) -> bool:
    if not isinstance(value, bool):
        raise CelError("no such overload")
    return value


def _exists_one(pairs: list[tuple[Any, ...]], each: Each, inner: list[Closure], _: bool) -> bool:
    return sum(_test(each(inner[0], pair)) for pair in pairs) == 1


def _filter(pairs: list[tuple[Any, ...]], each: Each, inner: list[Closure], _: bool) -> list[Any]:
    return [pair[0] for pair in pairs if _test(each(inner[0], pair))]


def _transform(pairs: list[tuple[Any, ...]], each: Each, inner: list[Closure], _: bool) -> list[Any]:
    """``map(x, transform)``, ``map(x, test, transform)`` and transformList."""
    tests, change = inner[:-1], inner[-1]
    return [each(change, pair) for pair in pairs if all(_test(each(test, pair)) for test in tests)]


def _transform_map(pairs: list[tuple[Any, ...]], each: Each, inner: list[Closure], _: bool) -> dict[Any, Any]:
    tests, change = inner[:-1], inner[-1]
    return {pair[0]: each(change, pair) for pair in pairs if all(_test(each(test, pair)) for test in tests)}


_MACROS: dict[str, Callable[..., Any]] = {
    "all": _decide(False),
    "exists": _decide(True),
    "exists_one": _exists_one,
    "existsOne": _exists_one,
    "filter": _filter,
    "map": _transform,
    "transformList": _transform,
    "transformMap": _transform_map,
}


def _on_optional(get: Closure, name: str, run: Closure, wraps: bool) -> Closure:
    def apply(scope: Scope) -> Any:
        found = get(scope)
        if not isinstance(found, Optional):
            raise CelError("no such overload")
        if not found.values:
            return NONE
        value = run({**scope, name: found.values[0]})
        return Optional((value,)) if wraps else value

    return apply


# ---- members ---------------------------------------------------------------------------------------------------------------------


def _key(value: Any, key: Any) -> Any:
    """A field, a map's value, or a list's item."""
    if isinstance(value, Optional):
        return _optional_key(value, key)
    if isinstance(value, Mapping):
        found = _find(value, key)
        if found is NONE:
            raise CelError(f"no such key: {key}")
        return found.values[0]
    if isinstance(value, list):
        index = int(key) if isinstance(key, float) and key.is_integer() else key
        if not isinstance(index, int) or isinstance(index, bool):
            raise CelError("no such overload")
        if not 0 <= index < len(value):
            raise CelError(f"index out of bounds: {index}")
        return value[index]
    if isinstance(value, Authorizer) and key == "requestResource":
        return Question(value, value.resource)
    raise CelError("no such overload")


def _find(value: Mapping[Any, Any], key: Any) -> Optional:
    """A map's value; Python takes 1, 1.0 and True for one key, CEL not the last."""
    if isinstance(key, list | dict) or key not in value:
        return NONE
    if isinstance(key, bool) or key in (0, 1):
        return next((Optional((found,)) for known, found in value.items() if equal(known, key)), NONE)
    return Optional((value[key],))


def _optional_key(value: Any, key: Any) -> Optional:
    if isinstance(value, Optional):
        return _optional_key(value.values[0], key) if value.values else NONE
    if isinstance(value, Mapping):
        return _find(value, key)
    if isinstance(value, list):
        return Optional((value[key],)) if isinstance(key, int) and 0 <= key < len(value) else NONE
    raise CelError("no such overload")
