r"""Regular expressions in Go's syntax (RE2), compiled as Python's.

What differs: flags in the middle hold to the end of their group, in all its alternatives; ``\z`` is the end of the text; classes have names
in brackets; neither look-around nor back-references exist. Upstream: regexp/syntax.

    >>> compile_pattern("^(?i)(abort|warn)?$").search("Warn") is not None
    True
"""

import re
from functools import lru_cache

_FLAGS = re.compile(r"\(\?([imsU-]+)\)")
_NOT_THERE = re.compile(r"\(\?(?:[=!]|<[=!]|\()|\\[1-9]")
_NAMED_GROUP = re.compile(r"\(\?<(?=[A-Za-z_])")
_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ", "upper": "A-Z",
    "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
PATTERNS_MAX = 4096


class BadPattern(ValueError):
    """A pattern that is none; the text is Go's."""


@lru_cache(maxsize=PATTERNS_MAX)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The compiled pattern. Raises BadPattern."""
    found = _NOT_THERE.search(pattern)
    if found is not None:
        what = "invalid escape sequence" if found[0].startswith("\\") else "invalid or unsupported Perl syntax"
        raise BadPattern(f"error parsing regexp: {what}: `{found[0]}`")
    try:
        return re.compile(_translated(pattern), re.ASCII)
    except re.error as error:
        raise BadPattern(f"error parsing regexp: {error}: `{pattern}`") from None


def _translated(pattern: str) -> str:
    """The pattern as Python writes it. O(length)."""
    out: list[str] = []
    open_flags: list[list[str]] = [[]]  # of every open group: the flag groups that were opened in it
    position, in_class = 0, False
    while position < len(pattern):
        letter = pattern[position]
        flags = None if in_class else _FLAGS.match(pattern, position)
        if letter == "\\":
            pair = pattern[position : position + 2]
            out.append(r"\Z" if pair == r"\z" else pair)
            position += 2
            continue
        if flags is not None:
            out.append(f"(?{flags[1].replace('U', '')}:")
            open_flags[-1].append(out[-1])
            position = flags.end()
            continue
        if in_class and letter == "[" and pattern.startswith("[:", position) and ":]" in pattern[position:]:
            name, _, _ = pattern[position + 2 :].partition(":]")
            out.append(_CLASSES.get(name, f"[:{name}:]"))
            position += len(name) + 4
            continue
        if in_class:
            in_class = letter != "]"
            out.append("\\[" if letter == "[" else letter)
        elif letter == "[":
            in_class = True
            head = re.match(r"\[\^?\]?", pattern[position:])
            assert head is not None
            out.append(head[0].replace("]", "\\]"))
            position += len(head[0])
            continue
        elif letter == "(":
            named = _NAMED_GROUP.match(pattern, position)
            out.append("(?P<" if named else "(")
            open_flags.append([])
            position += len(named[0]) if named else 1
            continue
        elif letter == ")" and len(open_flags) > 1:
            out.append(")" * len(open_flags.pop()) + ")")
        elif letter == "|":
            out.append(")" * len(open_flags[-1]) + "|" + "".join(open_flags[-1]))
        else:
            out.append(letter)
        position += 1
    return "".join(out) + ")" * len(open_flags[0])
