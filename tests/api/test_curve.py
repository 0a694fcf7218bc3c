"""Curves: texts, values, and the moment at which a sum of them reaches a level."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api.curve import NEVER_NS, Curve, first_at_least, parse_curve
from kubesim.kernel.time import MINUTE, SECOND

MEBIBYTE = 1 << 20


@pytest.mark.parametrize(
    ("text", "resource", "times"),
    [
        ("100Mi", "memory", {0: 100 * MEBIBYTE, MINUTE: 100 * MEBIBYTE}),
        ("50Mi+1Mi/s", "memory", {0: 50 * MEBIBYTE, 10 * SECOND: 60 * MEBIBYTE}),
        ("0s=100m,1m=400m", "cpu", {0: 100, 20 * SECOND: 200, MINUTE: 400, 2 * MINUTE: 400}),
        ("0s=4,1m=0", "ephemeral-storage", {0: 4, 30 * SECOND: 2, MINUTE: 0}),
        ("0s=1Mi,10s=2Mi+1Mi/s", "memory", {5 * SECOND: 3 * MEBIBYTE // 2, 12 * SECOND: 4 * MEBIBYTE}),
    ],
)
def test_a_curve_is_what_it_says(text: str, resource: str, times: dict[int, int]) -> None:
    curve = parse_curve(text, resource)
    assert {time_ns: curve.at(time_ns) for time_ns in times} == times


@pytest.mark.parametrize(
    "text", ["", "much", "-1Mi", "1Mi+1Mi", "5s=1Mi", "0s=1Mi,0s=2Mi", "0s=1Mi,2Mi", "0s=1Mi+1Mi/s,1m=2Mi", "1Mi+-1/s"]
)
def test_a_text_that_is_no_curve(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_curve(text)


curves = st.builds(
    lambda first, steps, slope: Curve(
        (
            (0, first),
            *((sum(step[0] for step in steps[: index + 1]), steps[index][1]) for index in range(len(steps))),
        ),
        slope * SECOND,
    ),
    st.integers(0, 20),
    st.lists(st.tuples(st.integers(1, 8), st.integers(0, 20)), max_size=4),
    st.integers(0, 2),
)


@given(st.lists(st.tuples(st.integers(0, 10), curves), min_size=1, max_size=3), st.integers(0, 30), st.integers(0, 60))
def test_the_first_time_is_that_of_a_scan(started: list[tuple[int, Curve]], from_ns: int, level: int) -> None:
    def total(time_ns: int) -> int:
        return sum(curve.at(max(time_ns - start_ns, 0)) for start_ns, curve in started)

    from_ns += 10  # all have started
    breaks = sorted({start_ns + offset for start_ns, curve in started for offset in curve.breaks_after(from_ns - start_ns)})
    expected = next((time_ns for time_ns in range(from_ns, 200) if total(time_ns) >= level), NEVER_NS)
    found = first_at_least(total, breaks, from_ns, level)
    if found != expected:  # the rounding of several lines may dip below the level once more
        assert total(found) >= level and found - expected <= 2, (found, expected)
