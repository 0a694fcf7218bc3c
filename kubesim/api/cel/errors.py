"""What can go wrong with an expression: before it runs, with the place in cel-go's form, or while it runs."""


class CelError(ValueError):
    """An evaluation that has no value, with cel-go's words: "no such key: x", "divide by zero"."""


class CompileError(ValueError):
    """An expression that means nothing: syntax, an unknown name. The text is cel-go's: place, reason, and the line with a caret."""

    def __init__(self, source: str, position: int, reason: str) -> None:
        before = source[:position]
        line = before.count("\n")
        column = position - (before.rfind("\n") + 1)
        text = source.split("\n")[line] if source else ""
        super().__init__(f"ERROR: <input>:{line + 1}:{column + 1}: {reason}\n | {text}\n | {'.' * column}^")
        self.reason = reason
        self.place = position
