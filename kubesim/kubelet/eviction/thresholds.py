"""Thresholds: how little of a resource may be left, for how long, and which of them are met.

A threshold is met when less than its amount is available; one that was met stays so until ``reclaim`` more than that is available.
Hard ones count at once, soft ones after their grace period. Pure functions.

Upstream: pkg/kubelet/eviction/helpers.go (ParseThresholdConfig, thresholdsMet, thresholdsFirstObservedAt, thresholdsMetGracePeriod).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from kubesim.api import quantity
from kubesim.kernel.time import parse_duration

MEMORY, NODE_FS, IMAGE_FS = "memory.available", "nodefs.available", "imagefs.available"
RESOURCES = {MEMORY: "memory", NODE_FS: "ephemeral-storage", IMAGE_FS: "ephemeral-storage"}  # in upstream's order of eviction: memory first
CONDITIONS = {MEMORY: "MemoryPressure", NODE_FS: "DiskPressure", IMAGE_FS: "DiskPressure"}
HARD_DEFAULT: Mapping[str, str] = {MEMORY: "100Mi", NODE_FS: "10%", IMAGE_FS: "15%"}


class Amount(NamedTuple):
    """An absolute amount, or a share of the capacity in millionths."""

    absolute: int
    millionths: int = 0

    def of(self, capacity: int) -> int:
        """In units, for this capacity."""
        return capacity * self.millionths // 1_000_000 if self.millionths else self.absolute


class Threshold(NamedTuple):
    """One threshold; ``grace_ns`` 0: hard."""

    signal: str
    least: Amount
    grace_ns: int = 0
    reclaim: Amount = Amount(0)


class Observation(NamedTuple):
    """What there is of a resource, and what is left of it."""

    available: int
    capacity: int


Observations = Mapping[str, Observation]


def parse_amount(field: str, text: str) -> Amount:
    """A quantity or a percentage. Raises ValueError that names the field."""
    if text.endswith("%"):
        number = text[:-1]
        share = float(number) if number.replace(".", "", 1).isdigit() else -1.0
        if 0 <= share <= 100:
            return Amount(0, round(share * 10_000)) if share else Amount(0)
    elif quantity.is_quantity(text) and quantity.value(text) >= 0:
        return Amount(quantity.value(text))
    raise ValueError(f'{field}: {text!r}: expected a quantity that is not negative, or a percentage from "0%" to "100%"')


def parse_thresholds(
    hard: Mapping[str, str], soft: Mapping[str, str], soft_grace: Mapping[str, str], reclaim: Mapping[str, str]
) -> tuple[Threshold, ...]:
    """The thresholds of a kubelet's configuration, in the order of eviction. Raises ValueError that names field and value."""
    for field, found in (("evictionHard", hard), ("evictionSoft", soft), ("evictionSoftGracePeriod", soft_grace)):
        for signal in found:
            if signal not in RESOURCES:
                raise ValueError(f"{field}: {signal!r}: expected one of {', '.join(RESOURCES)}")
    thresholds = []
    for signal in RESOURCES:
        least_reclaim = parse_amount(f"evictionMinimumReclaim[{signal}]", reclaim.get(signal, "0"))
        if signal in hard:
            thresholds.append(Threshold(signal, parse_amount(f"evictionHard[{signal}]", hard[signal]), 0, least_reclaim))
        if signal in soft:
            if signal not in soft_grace:
                raise ValueError(f"evictionSoftGracePeriod: {signal!r}: missing: a soft threshold needs a grace period")
            grace_ns = parse_duration(soft_grace[signal])
            if grace_ns <= 0:
                raise ValueError(f"evictionSoftGracePeriod[{signal}]: {soft_grace[signal]!r}: expected a positive duration")
            thresholds.append(Threshold(signal, parse_amount(f"evictionSoft[{signal}]", soft[signal]), grace_ns, least_reclaim))
    return tuple(thresholds)


def met(thresholds: Iterable[Threshold], seen: Observations, enforce_reclaim: bool = False) -> list[Threshold]:
    """Those that are met now; with ``enforce_reclaim`` also those whose minimum reclaim is not reached yet."""
    found = []
    for threshold in thresholds:
        observation = seen[threshold.signal]
        least = threshold.least.of(observation.capacity)
        if enforce_reclaim:
            least += threshold.reclaim.of(observation.capacity)
        if observation.available < least:
            found.append(threshold)
    return found


def used_at(threshold: Threshold, capacity: int) -> int:
    """From which usage on the threshold is met."""
    return capacity - threshold.least.of(capacity) + 1


def first_seen(thresholds: Sequence[Threshold], before: Mapping[Threshold, int], now_ns: int) -> dict[Threshold, int]:
    """Since when each has been met without a break."""
    return {threshold: before.get(threshold, now_ns) for threshold in thresholds}


def due(since: Mapping[Threshold, int], now_ns: int) -> list[Threshold]:
    """Those that have been met for their grace period."""
    return [threshold for threshold, since_ns in since.items() if now_ns - since_ns >= threshold.grace_ns]
