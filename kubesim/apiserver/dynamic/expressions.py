"""The expressions of policies and match conditions: what they may name, and how they are evaluated.

``variables`` are evaluated when first named, once per invocation. Upstream: apiserver/pkg/admission/plugin/cel (compile.go,
condition.go, composition.go) and webhook/matchconditions/matcher.go.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kubesim.api import cel
from kubesim.api.cel.authorizer import Authorizer

Object = dict[str, Any]
NAMES = ("object", "oldObject", "request", "params", "namespaceObject", "authorizer", "variables")


class Expression(NamedTuple):
    """A compiled expression, or why it cannot be; ``source`` is what messages show."""

    source: str
    program: cel.Program | None
    problem: str = ""

    def evaluate(self, bindings: Mapping[str, Any]) -> Any:
        """The value. Raises CelError with the words that clients see."""
        if self.program is None:
            raise cel.CelError(self.problem)
        try:
            return self.program.evaluate(bindings)
        except cel.CelError as error:
            raise cel.CelError(f"expression '{self.source}' resulted in error: {error}") from None


def expression(source: str, names: Sequence[str] = NAMES) -> Expression:
    """Compile; an expression that means nothing is an error when it is evaluated."""
    try:
        return Expression(source, cel.compile_expression(source, names))
    except cel.CompileError as error:
        return Expression(source, None, f"compilation error: compilation failed: {error}")


class Variables(Mapping[str, Any]):
    """The composed variables of a policy, each evaluated when it is first asked for."""

    def __init__(self, expressions: Mapping[str, Expression], bindings: Object) -> None:
        self._expressions = expressions
        self._bindings = bindings
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            found = self._expressions[name]
            try:
                if found.program is None:
                    raise cel.CelError(found.problem)
                self._known[name] = found.program.evaluate(self._bindings)
            except cel.CelError as error:
                self._known[name] = cel.CelError(f'composited variable "{name}" fails to evaluate: {error}')
        value = self._known[name]
        if isinstance(value, cel.CelError):
            raise value
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._expressions

    def __iter__(self) -> Iterator[str]:
        return iter(self._expressions)

    def __len__(self) -> int:
        return len(self._expressions)


def bindings_of(
    obj: Object | None,
    old: Object | None,
    request: Object,
    *,
    params: Object | None = None,
    namespace: Object | None = None,
    authorizer: Authorizer | None = None,
    variables: Mapping[str, Expression] | None = None,
) -> Object:
    """What an expression's names mean in one invocation."""
    bindings: Object = {
        "object": obj, "oldObject": old, "request": request, "params": params, "namespaceObject": namespace, "authorizer": authorizer,
    }  # fmt: skip
    bindings["variables"] = Variables(variables or {}, bindings)
    return bindings


class Matched(NamedTuple):
    """The outcome of match conditions: whether all hold, or the error that leaves it open."""

    holds: bool
    error: str = ""


def conditions_hold(conditions: Sequence[Expression], bindings: Mapping[str, Any], ignores_errors: bool) -> Matched:
    """Whether all match conditions hold; one that is false decides, whatever errors others have."""
    errors: list[str] = []
    for condition in conditions:
        try:
            if condition.evaluate(bindings) is False:
                return Matched(False)
        except cel.CelError as error:
            errors.append(str(error))
    if not errors:
        return Matched(True)
    if ignores_errors:
        return Matched(False)
    return Matched(False, errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]")

