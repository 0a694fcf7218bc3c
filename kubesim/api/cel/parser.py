"""CEL's grammar: text to a tree of nodes; macros become comprehensions.

Precedence, lowest first: ``?:``, ``||``, ``&&``, relations, ``+ -``, ``* / %``, ``! -``, members. Specification: cel-spec, langdef.md;
macros with two variables as in cel-go's ext.TwoVarComprehensions.
"""

from typing import Any, NamedTuple

from kubesim.api.cel.errors import CompileError
from kubesim.api.cel.lexer import END, INT, NAME, OPERATOR, RESERVED, STRING, Token, tokens

LENGTH_MAX, DEPTH_MAX = 100_000, 100  # cel-go nests 250 deep; Python's stack is shorter


class Node(NamedTuple):
    """``kind`` and its parts:

    literal (value) | name (text) | select (of, field, is_optional) | has (of, field) | index (of, key, is_optional) |
    call (function, receiver or None, arguments) | list ((item, is_optional), ...) | map ((key, value, is_optional), ...) |
    comprehend (macro, of, variables, (expressions)) | bind (name, value, body) | struct (type, ((field, value, is_optional), ...))
    """

    kind: str
    parts: tuple[Any, ...]
    position: int


LEVELS = (("||",), ("&&",), ("<", "<=", ">", ">=", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))
LEVEL_OF = {operator: level for level, operators in enumerate(LEVELS) for operator in operators}
# macro -> (how many variables, how many expressions), each way it may be written
MACROS = {
    "all": ((1, 1), (2, 1)),
    "exists": ((1, 1), (2, 1)),
    "exists_one": ((1, 1), (2, 1)),
    "existsOne": ((1, 1), (2, 1)),
    "map": ((1, 1), (1, 2)),
    "filter": ((1, 1),),
    "transformList": ((2, 1), (2, 2)),
    "transformMap": ((2, 1), (2, 2)),
}


def parse(source: str) -> Node:
    """The tree of an expression. Raises CompileError."""
    if len(source) > LENGTH_MAX:
        raise CompileError("", 0, f"expression code point size exceeds limit: size: {len(source)}, limit {LENGTH_MAX}")
    return _Parser(source).whole()


def _qualified(node: Node) -> str:
    """``a.b.c`` of a chain of plain names, else nothing."""
    if node.kind == "name":
        return str(node.parts[0])
    if node.kind == "select" and not node.parts[2]:
        before = _qualified(node.parts[0])
        return f"{before}.{node.parts[1]}" if before else ""
    return ""


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = tokens(source)
        self._at = 0
        self._depth = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _is(self, *texts: str) -> bool:
        token = self._next
        return (token.kind == OPERATOR and token.value in texts) or (token.kind == NAME and token.value == "in" and "in" in texts)

    def _take(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _expect(self, text: str) -> Token:
        if not self._is(text):
            self._fail(f"'{text}'")
        return self._take()

    def _fail(self, expected: str) -> None:
        raise CompileError(self._source, self._next.position, f"Syntax error: mismatched input '{self._next.value}' expecting {expected}")

    def whole(self) -> Node:
        found = self._expression()
        if self._next.kind != END:
            self._fail("<EOF>")
        return found

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise CompileError(self._source, self._next.position, f"expression recursion limit exceeded: {DEPTH_MAX}")
        condition = self._binary(0)
        if self._is("?"):
            position = self._take().position
            chosen = self._binary(0)
            self._expect(":")
            condition = Node("call", ("_?_:_", None, (condition, chosen, self._expression())), position)
        self._depth -= 1
        return condition

    def _binary(self, lowest: int) -> Node:
        """Operators of this level or a higher one, by climbing: nesting costs few frames."""
        left = self._unary()
        while True:
            token = self._next
            level = LEVEL_OF.get(token.value, -1) if token.kind == OPERATOR or token.value == "in" else -1
            if level < lowest:
                return left
            self._at += 1
            left = Node("call", (token.value, None, (left, self._binary(level + 1))), token.position)

    def _unary(self) -> Node:
        if self._is("!", "-"):
            token = self._take()
            self._depth += 1
            if self._depth > DEPTH_MAX:
                raise CompileError(self._source, token.position, f"expression recursion limit exceeded: {DEPTH_MAX}")
            operand = self._unary()
            self._depth -= 1
            if token.value == "-" and operand.kind == "literal" and type(operand.parts[0]) in (int, float):
                return Node("literal", (-operand.parts[0],), token.position)
            return Node("call", ("!_" if token.value == "!" else "-_", None, (operand,)), token.position)
        return self._member(self._primary())

    def _member(self, node: Node) -> Node:
        while True:
            if self._is(".", ".?"):
                token = self._take()
                field = self._take()
                if field.kind != NAME:
                    raise CompileError(self._source, field.position, f"Syntax error: no viable alternative at input '.{field.value}'")
                if self._is("(") and token.value == ".":
                    node = self._call(node, field)
                else:
                    node = Node("select", (node, field.value, token.value == ".?"), token.position)
            elif self._is("[", "[?"):
                token = self._take()
                key = self._expression()
                self._expect("]")
                node = Node("index", (node, key, token.value == "[?"), token.position)
            elif self._is("{") and (name := _qualified(node)):
                node = self._struct(name)
            else:
                return node

    def _struct(self, name: str) -> Node:
        """``Type{field: value, ?field: optional}``."""
        token = self._take()
        fields = []
        while not self._is("}"):
            is_optional = self._is("?")
            if is_optional:
                self._take()
            field = self._take()
            if field.kind not in (NAME, STRING):
                self._at -= 1
                self._fail("IDENTIFIER")
            self._expect(":")
            fields.append((str(field.value), self._expression(), is_optional))
            if not self._is(","):
                break
            self._take()
        self._expect("}")
        return Node("struct", (name, tuple(fields)), token.position)

    def _arguments(self, closing: str) -> list[Node]:
        found = []
        while not self._is(closing):
            found.append(self._expression())
            if not self._is(","):
                break
            self._take()
        self._expect(closing)
        return found

    def _call(self, receiver: Node | None, name: Token) -> Node:
        position = self._expect("(").position  # where cel-go places a call, and what it makes of a macro
        arguments = self._arguments(")")
        if receiver is None and name.value == "has" and len(arguments) == 1:
            if arguments[0].kind != "select" or arguments[0].parts[2]:
                raise CompileError(self._source, arguments[0].position, "invalid argument to has() macro")
            return Node("has", arguments[0].parts[:2], position)
        if receiver is not None and receiver.kind == "name" and receiver.parts[0] == "cel" and name.value == "bind" and len(arguments) == 3:
            return Node("bind", (self._variable(arguments[0]), arguments[1], arguments[2]), position)
        if receiver is not None:
            for variables, expressions in MACROS.get(name.value, ()):
                if len(arguments) == variables + expressions and self._are_names(arguments[:variables]):
                    names = tuple(self._variable(argument) for argument in arguments[:variables])
                    return Node("comprehend", (name.value, receiver, names, tuple(arguments[variables:])), position)
            if name.value in ("optMap", "optFlatMap") and len(arguments) == 2:
                return Node("comprehend", (name.value, receiver, (self._variable(arguments[0]),), (arguments[1],)), position)
        return Node("call", (name.value, receiver, tuple(arguments)), position)

    def _are_names(self, arguments: list[Node]) -> bool:
        return all(argument.kind == "name" for argument in arguments)

    def _variable(self, node: Node) -> str:
        if node.kind != "name":
            raise CompileError(self._source, node.position, "argument must be a simple name")
        return str(node.parts[0])

    def _primary(self) -> Node:
        token = self._take()
        if token.kind in (INT, STRING):
            return Node("literal", (token.value,), token.position)
        if token.kind == NAME:
            if token.value in ("true", "false", "null"):
                return Node("literal", ({"true": True, "false": False, "null": None}[token.value],), token.position)
            if token.value in RESERVED:
                raise CompileError(self._source, token.position, f"reserved identifier: {token.value}")
            return self._call(None, token) if self._is("(") else Node("name", (token.value,), token.position)
        if token.kind == OPERATOR:
            if token.value == "(":
                found = self._expression()
                self._expect(")")
                return found
            if token.value in ("[", "[?"):
                return self._list(token)
            if token.value == "{":
                return self._map(token)
        self._at -= 1
        self._fail("{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}")
        raise AssertionError

    def _list(self, token: Token) -> Node:
        items = []
        is_optional = token.value == "[?"
        while not self._is("]"):
            if self._is("?"):
                self._take()
                is_optional = True
            items.append((self._expression(), is_optional))
            is_optional = False
            if not self._is(","):
                break
            self._take()
        self._expect("]")
        return Node("list", tuple(items), token.position)

    def _map(self, token: Token) -> Node:
        entries = []
        while not self._is("}"):
            is_optional = self._is("?")
            if is_optional:
                self._take()
            key = self._expression()
            self._expect(":")
            entries.append((key, self._expression(), is_optional))
            if not self._is(","):
                break
            self._take()
        self._expect("}")
        return Node("map", tuple(entries), token.position)
