"""The ResourceQuota controller: counts what is used of every quota, from the caches.

Admission charges creates (``apiserver/quota.py``); this controller counts anew when a quota comes or changes and when something that a
quota counts is deleted, ends or changes its type. O(objects of the counted kinds in the namespace), and nothing where there is no quota.

Upstream: pkg/controller/resourcequota (resource_quota_controller.go, resource_quota_monitor.go). Left out: the full resync every five
minutes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api import quantity
from kubesim.api.kinds import KINDS
from kubesim.apiserver.quota import PLAIN_COUNTS, RESOURCE, Usage, added, count_name, covers, usage_of
from kubesim.apiserver.requests import Object, update
from kubesim.client.informer import looks_at
from kubesim.controllers.contract import DONE, ControllerBase, Mapper, Result, View, own_key
from kubesim.controllers.discovery import Discovery
from kubesim.controllers.owned_pods import ENDED

IGNORED = frozenset(("events",))
CLAIMS, SERVICES = "persistentvolumeclaims", "services"


def counted_resources() -> list[str]:
    """Every namespaced resource that a quota may count."""
    return sorted(kind.resource for kind in KINDS.all() if kind.namespaced and kind.resource not in IGNORED)


def mapper_of(resource: str) -> Mapper:
    """The mapper of a counted resource: the quotas of the namespace, when the usage may have fallen or changed."""

    @looks_at("status.phase" if resource == "pods" else "spec")
    def to_quotas(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
        obj = new if new is not None else old
        if obj is None or old is None or not view.list(RESOURCE) or (new is not None and not _changes_usage(resource, old, new)):
            return ()
        return [
            f"{quota['metadata']['namespace']}/{quota['metadata']['name']}" for quota in view.list(RESOURCE, obj["metadata"]["namespace"])
        ]

    return to_quotas


def _changes_usage(resource: str, old: Object, new: Object) -> bool:
    if resource == "pods":
        phases = [(pod.get("status") or {}).get("phase") for pod in (old, new)]
        return phases[1] in ENDED and phases[0] not in ENDED
    return resource in (CLAIMS, SERVICES) and old.get("spec") is not new.get("spec") and old.get("spec") != new.get("spec")


def on_quota(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """A quota that came, went or wants something else; its status is written by charges too, which are right as they are.

    A count from caches that have yet to see what was just charged would give it back.
    """
    if old is not None and new is not None and old["spec"].get("hard") == new["spec"].get("hard"):
        return ()
    return own_key(view, old, new)


class ResourceQuotaController(ControllerBase):
    """Reconciles ResourceQuotas by ``namespace/name``."""

    name = "resourcequota-controller"
    resource = RESOURCE
    rationed = frozenset((RESOURCE,))
    derives: Sequence[Callable[[Any], Any]] = (Discovery,)

    def __init__(self) -> None:
        self.counted = counted_resources()
        self.watches: Mapping[str, Mapper] = {resource: mapper_of(resource) for resource in self.counted} | {RESOURCE: on_quota}

    def custom(self, resource: str) -> Mapper:
        """Custom resources are counted by ``count/<plural>.<group>``."""
        return mapper_of(resource)

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Count, and write what differs."""
        quota = view.get(RESOURCE, key)
        if quota is None or quota["metadata"].get("deletionTimestamp"):
            return DONE
        hard = {name: quantity.canonical(quantity.as_text(amount)) for name, amount in (quota["spec"].get("hard") or {}).items()}
        used = self._used(quota, hard, view, now_ns)
        status = quota.get("status") or {}
        if status.get("hard", {}) == hard and status.get("used", {}) == used:
            return DONE
        return Result([update(RESOURCE, {**quota, "status": {"hard": hard, "used": used}}, "status")])

    def _used(self, quota: Object, hard: Mapping[str, str], view: View, now_ns: int) -> Usage:
        total: Usage = dict.fromkeys(hard, "0")
        for resource in (*self.counted, *(known.resource for known in view.derived(Discovery).namespaced())):
            if not any(_is_about(name, resource) for name in hard):
                continue
            for obj in view.list(resource, quota["metadata"]["namespace"]):
                if covers(quota, resource, obj):
                    usage = usage_of(resource, obj, now_ns)
                    total = added(total, {name: amount for name, amount in usage.items() if name in hard})
        return total


def _is_about(name: str, resource: str) -> bool:
    """Whether a name in a quota may count objects of a resource."""
    if name == count_name(resource) or name == resource:
        return True
    if resource == "pods":
        return (
            not name.startswith("count/") and name not in PLAIN_COUNTS and not name.startswith("services.") and "storageclass" not in name
        )
    if resource == SERVICES:
        return name.startswith("services.")
    return resource == CLAIMS and (name == "requests.storage" or "storageclass" in name)


CONTROLLER = ResourceQuotaController
