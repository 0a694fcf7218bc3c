"""Completion indexes as text: "1,3-5,7", as a Job's status and success policy write them.

Upstream: pkg/controller/job/indexed_job_utils.go.
"""

from collections.abc import Collection, Iterable, Iterator

from kubesim.apiserver.requests import Object

INDEX = "batch.kubernetes.io/job-completion-index"
UNKNOWN = -1


def parse(text: str, completions: int) -> set[int]:
    """The indexes below ``completions`` of a text; what cannot be read ends it, as upstream."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            return found
        found.update(range(int(first), min(int(last) if dash else int(first), completions - 1) + 1))
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """Three or more in a row are a range.

    >>> format_indexes({0, 2, 3, 5, 6, 7})
    '0,2,3,5-7'
    """
    parts = []
    for first, last in _runs(sorted(indexes)):
        if last == first:
            parts.append(str(first))
        elif last == first + 1:
            parts.append(f"{first},{last}")
        else:
            parts.append(f"{first}-{last}")
    return ",".join(parts)


def _runs(ordered: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for index in ordered:
        if last is not None and index == last + 1:
            last = index
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = index
    if first is not None and last is not None:
        yield first, last


def index_of(pod: Object) -> int:
    """The completion index of a Pod, UNKNOWN if it has none."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isascii() and text.isdigit() else UNKNOWN


def first_missing(taken: Collection[int], count: int, completions: int) -> list[int]:
    """The lowest ``count`` indexes that are not taken."""
    found: list[int] = []
    index = 0
    while len(found) < count and index < completions:
        if index not in taken:
            found.append(index)
        index += 1
    return found
