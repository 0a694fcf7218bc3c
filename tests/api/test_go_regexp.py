"""Go's regular expressions as Python's."""

import pytest

from kubesim.api.go_regexp import BadPattern, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("^(?i)(abort|warn)?$", "WARN", True),
        ("^((?i)sun|mon)day$", "MONday", True),
        ("^((?i)sun|mon)day$", "monDAY", False),
        ("^a(?i)b|c$", "C", True),
        ("^(?P<x>a)(?<y>b)$", "ab", True),
        (r"^a\z", "a\n", False),
        ("^[[:alpha:]_]+$", "ab_", True),
        ("^[]a]$", "]", True),
        ("^[^]a]$", "]", False),
        (r"^\(\?i\)$", "(?i)", True),
        ("^[(?i)]$", "i", True),
    ],
)
def test_patterns(pattern: str, text: str, matches: bool) -> None:
    assert (compile_pattern(pattern).search(text) is not None) is matches


@pytest.mark.parametrize("pattern", ["(?=a)", "(?<!a)b", r"(a)\1", "(", "[a"])
def test_what_go_does_not_have(pattern: str) -> None:
    with pytest.raises(BadPattern, match="error parsing regexp: "):
        compile_pattern(pattern)
