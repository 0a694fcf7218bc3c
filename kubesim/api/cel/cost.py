"""What an expression can cost at most, before it runs: upstream's arithmetic over the checked tree, to the unit.

A size or a cost is (least, most), held below 2**64. Macros are charged as the loops that cel-go makes of them; the formulas stand beside.
Upstream: cel-go checker/cost.go, apiserver/pkg/cel/library/cost.go.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kubesim.api.cel.checker import Checked
from kubesim.api.cel.parser import Node
from kubesim.api.cel.types import BYTES, SCALARS, STRING, Type

LIMIT = 2**64 - 1
TRAVERSAL, REGEX = 0.1, 0.25  # per character of a text, of a pattern
LIST_BASE, MAP_BASE, STRUCT_BASE = 10, 30, 40
CHECK = 350_000
Path = tuple[str, ...]
SizeOf = Callable[[Path], "Range | None"]


class Range(NamedTuple):
    """From the least to the most."""

    least: int
    most: int

    def plus(self, other: "Range") -> "Range":
        """The sum."""
        return Range(min(self.least + other.least, LIMIT), min(self.most + other.most, LIMIT))

    def times(self, other: "Range") -> "Range":
        """The product."""
        return Range(min(self.least * other.least, LIMIT), min(self.most * other.most, LIMIT))

    def scaled(self, factor: float) -> "Range":
        """Times a factor, rounded up."""
        return Range(_scaled(self.least, factor), _scaled(self.most, factor))

    def union(self, other: "Range") -> "Range":
        """What covers both."""
        return Range(min(self.least, other.least), max(self.most, other.most))


def _scaled(number: int, factor: float) -> int:
    found = math.ceil(float(number) * factor)
    return LIMIT if found >= 2**64 else found


UNKNOWN = Range(0, LIMIT)
FREE, ONE = Range(0, 0), Range(1, 1)


class Sized(NamedTuple):
    """The cost of a node, the size of its value if it is known, where its value comes from, and the sizes of its entries."""

    cost: Range
    size: Range | None
    path: Path | None = None
    entries: tuple[Range, Range] | None = None  # of keys and values that are computed


class Local(NamedTuple):
    """A variable of a loop."""

    path: Path | None
    size: Range | None


Locals = dict[str, Local]


def estimate(checked: Checked, size_of: SizeOf) -> Range:
    """The cost of an expression; ``size_of(path)`` tells how large the value at a path of the schema can be, None if it does not know."""
    return _Coster(checked, size_of).sized(checked.root, {}).cost


class _Coster:
    def __init__(self, checked: Checked, size_of: SizeOf) -> None:
        self._checked = checked
        self._size_of = size_of

    def sized(self, node: Node, local: Locals) -> Sized:
        found: Sized = getattr(self, f"_{node.kind}")(node, local)
        if found.size is not None:
            return found
        known = self._size_of(found.path) if found.path is not None else None
        if known is None and self._type(node) in SCALARS:
            known = ONE
        return found if known is None else found._replace(size=known)

    def _type(self, node: Node) -> Type:
        return self._checked.types[id(node)]

    # ---- leaves and members --------------------------------------------------------------------------------------------------

    def _literal(self, node: Node, local: Locals) -> Sized:
        value = node.parts[0]
        size = len(value) if isinstance(value, str | bytes) else 1
        return Sized(FREE, Range(size, size))

    def _name(self, node: Node, local: Locals) -> Sized:
        name = node.parts[0]
        found = local.get(name)
        if found is None:
            return Sized(ONE, None, (name,))
        size = self._size_of(found.path) if found.path is not None else None
        return Sized(ONE, size if size is not None else found.size if self._type(node) not in SCALARS else None, found.path)

    def _select(self, node: Node, local: Locals) -> Sized:
        of, field, is_optional = node.parts
        operand = self.sized(of, local)
        if is_optional:
            return Sized(operand.cost.plus(ONE), None)
        is_charged = self._type(of).name in ("map", "object") or self._type(of).is_parameter
        path = (*operand.path, field) if operand.path is not None else None
        return Sized(operand.cost.plus(ONE) if is_charged else operand.cost, None, path)

    def _has(self, node: Node, local: Locals) -> Sized:
        return Sized(self.sized(node.parts[0], local).cost, None)  # the presence test itself is free

    def _index(self, node: Node, local: Locals) -> Sized:
        of, key, is_optional = node.parts
        operand, index = self.sized(of, local), self.sized(key, local)
        cost = ONE.plus(operand.cost).plus(index.cost)
        ids = self._checked.overloads.get(id(node), ())
        if is_optional or not ids:
            return Sized(cost, None)
        path = (*operand.path, "@items" if ids[0] == "index_list" else "@values") if operand.path is not None else None
        return Sized(cost, operand.entries[1] if operand.entries is not None else None, path)

    # ---- aggregates ----------------------------------------------------------------------------------------------------------

    def _list(self, node: Node, local: Locals) -> Sized:
        items = [self.sized(item, local) for item, _ in node.parts]
        cost = Range(LIST_BASE, LIST_BASE)
        size = Range(0, 0) if not items else Range(LIMIT, 0)
        for item in items:
            cost, size = cost.plus(item.cost), size.union(item.size or UNKNOWN)
        return Sized(cost, Range(len(items), len(items)), None, (ONE, size))

    def _map(self, node: Node, local: Locals) -> Sized:
        cost = Range(MAP_BASE, MAP_BASE)
        keys = values = Range(0, 0) if not node.parts else Range(LIMIT, 0)
        for key, value, _ in node.parts:
            one, other = self.sized(key, local), self.sized(value, local)
            cost = cost.plus(one.cost).plus(other.cost)
            keys, values = keys.union(one.size or UNKNOWN), values.union(other.size or UNKNOWN)
        return Sized(cost, Range(len(node.parts), len(node.parts)), None, (keys, values))

    def _struct(self, node: Node, local: Locals) -> Sized:
        cost = Range(STRUCT_BASE, STRUCT_BASE)
        for _, value, _ in node.parts[1]:
            cost = cost.plus(self.sized(value, local).cost)
        return Sized(cost, None)

    def _bind(self, node: Node, local: Locals) -> Sized:
        """``cel.bind``: a loop over an empty list that initializes its variable."""
        name, value, body = node.parts
        given = self.sized(value, local)
        found = self.sized(body, {**local, name: Local(given.path, given.size)})
        return found._replace(cost=found.cost.plus(given.cost).plus(Range(LIST_BASE, LIST_BASE)), path=None)

    # ---- calls ---------------------------------------------------------------------------------------------------------------

    def _call(self, node: Node, local: Locals) -> Sized:
        function, receiver, arguments = node.parts
        if receiver is not None and id(receiver) not in self._checked.types:  # the word in front of a function's name
            function, receiver = f"{receiver.parts[0]}.{function}", None
        given = [self.sized(each, local) for each in arguments]
        if function == "dyn" and receiver is None:
            return Sized(ONE.plus(given[0].cost), given[0].size, None, given[0].entries)
        target = self.sized(receiver, local) if receiver is not None else None
        spent = FREE
        for each in given:
            spent = spent.plus(each.cost)
        cost, size = Range(LIMIT, 0), None
        for overload in self._checked.overloads.get(id(node), ()):
            item = _item_type(self._type(receiver)) if receiver is not None else None
            charge = self._charge(function, overload, target, given, item, arguments)
            cost = cost.union(charge.cost.plus(spent) if overload not in OWN_SUM else charge.cost)
            if charge.size is not None:
                size = charge.size if size is None else size.union(charge.size)
        if target is not None:
            cost = cost.plus(target.cost)
        return Sized(cost, size)

    def _charge(self, function: str, overload: str, target: Sized | None, given: Sequence[Sized], item: Type | None,
                arguments: Sequence[Node]) -> Sized:  # fmt: skip
        special = self._library(function, target, given, item, arguments) or _standard(overload, target, given)
        if overload in ("cidr_contains_ip_string", "cidr_contains_cidr_string"):
            special = Sized((special or Sized(ONE, None)).cost.plus(_size(given[0]).scaled(TRAVERSAL)), None)
        return special or Sized(ONE, None)

    def _library(self, function: str, target: Sized | None, given: Sequence[Sized], item: Type | None,
                 arguments: Sequence[Node]) -> Sized | None:  # fmt: skip
        """What Kubernetes' functions are charged, where it differs from one."""
        if function == "check":
            return Sized(Range(CHECK, CHECK), None)
        if target is None:
            return Sized(_size(given[0]).scaled(TRAVERSAL), None) if function == "url" else None
        size = _size(target)
        if function in ("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"):
            if item is None:  # a text
                return Sized(size.scaled(TRAVERSAL), None)
            each = ONE
            if item in (STRING, BYTES):
                each = each.plus(self._items(target).scaled(TRAVERSAL))
            return Sized(size.times(each), None)
        if function in ("lowerAscii", "upperAscii", "substring", "trim"):
            return Sized(size.scaled(TRAVERSAL), size)
        if function == "replace":
            return Sized(size.scaled(2 * TRAVERSAL), _replaced(size, _size(given[0]), _size(given[1])))
        if function == "split":
            most = size.most
            if len(arguments) > 1 and arguments[1].kind == "literal":
                most = arguments[1].parts[0] if arguments[1].parts[0] >= 0 else LIMIT
            return Sized(size.scaled(2 * TRAVERSAL), Range(0, most))
        if function == "join":
            found = size.times(self._items(target)) if item is not None else FREE
            if given:
                found = found.plus(_size(given[0]).times(Range(max(size.least - 1, 0), max(size.most - 1, 0))))
            return Sized(found.scaled(TRAVERSAL), found)
        if function in ("find", "findAll"):
            cost = size.plus(ONE).scaled(TRAVERSAL).times(_size(given[0]).scaled(REGEX))
            return Sized(cost, Range(0, size.most))
        if function in ("containsIP", "containsCIDR"):
            address = Range(4, 16)
            cost = address.plus(address).scaled(TRAVERSAL)
            if function == "containsCIDR":
                cost = cost.plus(address.scaled(TRAVERSAL)).plus(ONE)
            return Sized(cost, None)
        return None

    def _items(self, target: Sized) -> Range:
        known = self._size_of((*target.path, "@items")) if target.path is not None else None
        return known if known is not None else UNKNOWN

    # ---- comprehensions ------------------------------------------------------------------------------------------------------

    def _comprehend(self, node: Node, local: Locals) -> Sized:
        macro, of, variables, expressions = node.parts
        container = self.sized(of, local)
        if macro in ("optMap", "optFlatMap"):
            return self._on_optional(macro, of, container, variables[0], expressions[0], local)
        is_list = self._type(of).name == "list"
        inner = {**local, **self._variables(container, variables, is_list)}
        found = [self.sized(expression, inner) for expression in expressions]
        first = found[0].cost
        count = container.size if container.size is not None else UNKNOWN
        if macro in ("all", "exists"):
            # @not_strictly_false(accu), with a negation for exists; then accu && predicate, of which the least is the accumulator alone
            loop = Range(2, 2) if macro == "all" else Range(3, 3)
            each = loop.plus(Range(1, min(1 + first.most, LIMIT)))
            return Sized(container.cost.plus(ONE).plus(count.times(each)), ONE)
        if macro in ("exists_one", "existsOne"):
            each = first.plus(Range(1, 2))  # predicate ? accu + 1 : accu
            return Sized(container.cost.plus(Range(2, 2)).plus(count.times(each)), ONE)  # accu == 1
        appended = Range(2 + LIST_BASE, 2 + LIST_BASE)  # accu + [item]
        if macro == "filter":
            each = first.plus(Range(1, appended.most + 1))
        elif macro == "transformMap":
            each = found[-1].cost.plus(Range(3, 3))
            each = first.plus(Range(1, each.most)) if len(found) == 2 else each
        else:
            each = appended.plus(found[-1].cost)
            each = first.plus(Range(1, each.most)) if len(found) == 2 else each
        start = MAP_BASE if macro == "transformMap" else LIST_BASE
        cost = container.cost.plus(Range(start, start)).plus(ONE).plus(count.times(each))
        size = found[-1].size if macro != "filter" else inner[variables[0]].size
        return Sized(cost, count, None, (ONE, size if size is not None else UNKNOWN))

    def _variables(self, container: Sized, variables: Sequence[str], is_list: bool) -> Locals:
        def place(name: str, size: Range | None) -> Local:
            path = (*container.path, name) if container.path is not None else None
            return Local(path, size)

        keys, values = container.entries if container.entries is not None else (None, None)
        if len(variables) == 1:
            return {variables[0]: place("@items", values) if is_list else place("@keys", keys)}
        return {
            variables[0]: place("@indices" if is_list else "@keys", keys),
            variables[1]: place("@items" if is_list else "@values", values),
        }

    def _on_optional(self, macro: str, of: Node, container: Sized, variable: str, expression: Node, local: Locals) -> Sized:
        """``of.hasValue() ? optional.of(cel.bind(variable, of.value(), expression)) : optional.none()``."""
        found = self.sized(expression, {**local, variable: Local(None, None)})
        value = ONE.plus(container.cost)
        bound = value.plus(Range(LIST_BASE, LIST_BASE)).plus(found.cost)
        chosen = bound.plus(ONE) if macro == "optMap" else bound
        return Sized(value.plus(chosen.union(ONE)), None)


OWN_SUM = frozenset(("logical_and", "logical_or", "conditional"))  # whose charge already holds the arguments
COMPARED = frozenset((
    "equals", "not_equals", "less_string", "greater_string", "less_equals_string", "greater_equals_string", "less_bytes", "greater_bytes",
    "less_equals_bytes", "greater_equals_bytes",
))  # fmt: skip


def _size(value: Sized) -> Range:
    return value.size if value.size is not None else UNKNOWN


def _item_type(type_: Type) -> Type | None:
    """The type of a list's items; None for what has none."""
    return type_.parameters[0] if type_.parameters else None


def _standard(overload: str, target: Sized | None, given: Sequence[Sized]) -> Sized | None:
    """What cel-go charges for its own functions, where it is more than one."""
    if overload in COMPARED:
        most = min(_size(given[0]).most, _size(given[1]).most)
        return Sized(Range(1 if most else 0, most).scaled(TRAVERSAL), None)
    if overload in ("add_string", "add_bytes"):
        size = _size(given[0]).plus(_size(given[1]))
        return Sized(size.scaled(TRAVERSAL), size)
    if overload == "add_list":
        return Sized(ONE, _size(given[0]).plus(_size(given[1])))
    if overload in ("logical_and", "logical_or"):
        return Sized(Range(given[0].cost.least, given[0].cost.plus(given[1].cost).most), None)
    if overload == "conditional":
        size = _size(given[1]).union(_size(given[2]))
        return Sized(given[0].cost.plus(given[1].cost.union(given[2].cost)), size)
    if overload == "in_list":
        return Sized(_size(given[1]), None)
    if overload in ("starts_with_string", "ends_with_string"):
        return Sized(_size(given[0]).scaled(TRAVERSAL), None)
    if overload == "contains_string" and target is not None:
        return Sized(_size(target).scaled(TRAVERSAL).times(_size(given[0]).scaled(TRAVERSAL)), None)
    if overload in ("matches_string", "matches"):
        text, pattern = (target, given[0]) if target is not None else (given[0], given[1])
        if target is None:
            return None
        return Sized(_size(text).plus(ONE).scaled(TRAVERSAL).times(_size(pattern).scaled(REGEX)), None)
    if overload == "string_format" and target is not None:
        return Sized(_size(target).scaled(TRAVERSAL), None)
    if overload == "string_to_bytes":
        size = _size(given[0])
        return Sized(size.scaled(TRAVERSAL), Range(size.least, min(size.most * 4, LIMIT)))
    if overload == "bytes_to_string":
        size = _size(given[0])
        return Sized(size.scaled(TRAVERSAL), Range(size.least // 4, size.most))
    if overload == "strings_quote":
        size = _size(given[0])
        return Sized(size.scaled(TRAVERSAL), Range(size.least + 2, min(size.most * 2 + 2, LIMIT)))
    return None


def _replaced(size: Range, old: Range, new: Range) -> Range:
    """The size of a text after ``replace``."""
    if old.least == 0:
        most, kept_most = min(size.most + 1, LIMIT), size.most
    elif new.most <= old.least:
        most, kept_most = 0, size.most
    else:
        most, kept_most = math.ceil(size.most / old.least), 0
    if old.most == 0:
        least, kept_least = min(size.least + 1, LIMIT), size.least
    elif old.most <= new.least:
        least, kept_least = 0, size.least
    else:
        least, kept_least = math.ceil(size.least / old.most), 0
    return Range(least, most).times(new).plus(Range(kept_least, kept_most))
