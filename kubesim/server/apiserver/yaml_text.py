"""Objects as YAML text, the way sigs.k8s.io/yaml writes them: sorted keys, double quotes where a
plain word would not be a string."""

from typing import Any

import yaml


class _Dumper(yaml.CSafeDumper):
    pass


def _text(dumper: Any, value: str) -> yaml.Node:
    if "\n" in value:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|")
    plain = dumper.resolve(yaml.ScalarNode, value, (True, False)) == "tag:yaml.org,2002:str"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain and value not in _WORDS else '"')


_WORDS = frozenset(("y", "Y", "n", "N", "=", "<<"))
_Dumper.add_representer(str, _text)
_Dumper.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]


def dump(value: Any) -> bytes:
    """The YAML text of a JSON-shaped value.

    >>> dump({"b": "1", "a": None})
    b'a: null\\nb: "1"\\n'
    """
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True).encode()
