"""Which devices a Pod's claims get on one node: the first solution of an exhaustive search, as upstream's.

One claim after the other, one request after the other, one device after the other in the order of pools and slices; within a request only
combinations are tried, not their permutations. ``firstAvailable`` takes the first sub-request that leads to a solution.

A device that allows it is shared by amounts of its capacity (device_capacity.py). Left out: binding conditions.
Upstream: k8s.io/dynamic-resource-allocation/structured/internal/incubating/allocator_incubating.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kubesim.api import quantity
from kubesim.scheduler.device_capacity import Amounts, consumed, fits, is_shared, share_id, shares_in_use, texts
from kubesim.scheduler.devices import Device, DeviceError, Object, Pool, attribute, is_tolerated, selected, view_of

RESULTS_MAX = 32  # devices per claim
ALL = "All"


@dataclass(slots=True)
class Wanted:
    """A request, or one sub-request of it: what it asks for, and the devices of an ``All``."""

    name: str  # "request", or "request/sub-request"
    base: str  # the request's own
    body: Mapping[str, Any]
    device_class: Object
    count: int
    every: list[Device] = field(default_factory=list)

    @property
    def has_admin_access(self) -> bool:
        """Whether devices in use are fine."""
        return bool(self.body.get("adminAccess"))

    @property
    def takes_all(self) -> bool:
        """Whether every matching device is wanted."""
        return self.body.get("allocationMode") == ALL


@dataclass(slots=True)
class Chosen:
    """One device for one request."""

    wanted: Wanted
    device: Device
    share: Amounts | None = None  # of a device that is shared


class InUse(NamedTuple):
    """The ids of devices that claims have for themselves, and what is taken of those that are shared."""

    whole: Sequence[str] = ()
    shares: Mapping[str, Sequence[Amounts]] = {}


class Constraint:
    """matchAttribute: all devices of the named requests (none named: of all) have one value; distinctAttribute: each another one."""

    def __init__(self, body: Mapping[str, Any], owner: str, index: int) -> None:
        self.requests = body.get("requests") or ()
        self.is_match = bool(body.get("matchAttribute"))
        self.name: str = body.get("matchAttribute") or body.get("distinctAttribute") or ""
        if not self.name:
            raise DeviceError(f"claim {owner}, constraint #{index}: empty constraint (unsupported constraint type?)")
        self.values: list[Mapping[str, Any]] = []

    def concerns(self, wanted: Wanted) -> bool:
        """Whether the constraint is about the request."""
        return not self.requests or wanted.base in self.requests or wanted.name in self.requests

    def add(self, wanted: Wanted, device: Device) -> bool:
        """Take a device in; false when it does not go with the others."""
        if not self.concerns(wanted):
            return True
        value = attribute(device, self.name)
        if value is None or (value in self.values) != (self.is_match and bool(self.values)):
            return False
        self.values.append(value)
        return True

    def remove(self, wanted: Wanted) -> None:
        """Take the last one out."""
        if self.concerns(wanted):
            self.values.pop()


class Allocator:
    """Allocates claims on one node. ``in_use``: the devices that claims have; ``classes`` by name."""

    def __init__(self, pools: Sequence[Pool], in_use: InUse, classes: Mapping[str, Object], node_name: str) -> None:
        self._pools = pools
        self._pool_of = {pool.id: pool for pool in pools}
        self._in_use = dict.fromkeys(in_use.whole)
        self._shares = {device: list(taken) for device, taken in in_use.shares.items()}  # with those of this Pod
        self._classes = classes
        self._node_name = node_name
        self._views: dict[str, Mapping[str, Any]] = {}
        self._matches: dict[tuple[str, int, str], bool] = {}
        self._taken: dict[str, list[int]] = {}  # device -> the claims of this Pod that take it now
        self._claims: list[Object] = []
        self._wanted: list[list[list[Wanted]]] = []  # claim -> request -> the ways to serve it
        self._constraints: list[list[Constraint]] = []
        self._chosen: list[list[Chosen]] = []

    def allocate(self, claims: Sequence[Object]) -> list[Object] | None:
        """An allocation per claim, None when there is no solution. Raises DeviceError for what cannot be right on any node."""
        self._claims = list(claims)
        self._wanted = [self._read(index, claim) for index, claim in enumerate(claims)]
        self._constraints = [
            [Constraint(body, _key(claim), index) for index, body in enumerate(_devices(claim).get("constraints") or ())]
            for claim in claims
        ]
        self._chosen = [[] for _ in claims]
        if not self._next_request(0, 0):
            return None
        return [self._result(index) for index in range(len(claims))]

    # ---- reading -------------------------------------------------------------------------------------------------------------

    def _read(self, claim_index: int, claim: Object) -> list[list[Wanted]]:
        found = []
        for request in _devices(claim).get("requests") or ():
            subs = request.get("firstAvailable")
            bodies = (
                [(f"{request['name']}/{sub['name']}", sub) for sub in subs] if subs else [(request["name"], request.get("exactly") or {})]
            )
            found.append([self._wanted_of(claim_index, claim, name, request["name"], body) for name, body in bodies])
        smallest = sum(min(wanted.count for wanted in ways) for ways in found)
        if smallest > RESULTS_MAX:
            text = f"number of requested devices {smallest} exceeds the claim limit of {RESULTS_MAX}"
            raise DeviceError(f"claim {_key(claim)}: {text}")
        return found

    def _wanted_of(self, claim_index: int, claim: Object, name: str, base: str, body: Mapping[str, Any]) -> Wanted:
        where = f"claim {_key(claim)}, request {name.rpartition('/')[2]}"
        class_name = body.get("deviceClassName")
        if not class_name:
            raise DeviceError(f"{where}: missing device class name (unsupported request type?)")
        device_class = self._classes.get(class_name)
        if device_class is None:
            text = f'deviceclass.resource.k8s.io "{class_name}" not found'
            raise DeviceError(f"{where}: could not retrieve device class {class_name}: {text}")
        wanted = Wanted(name, base, body, device_class, 1 if body.get("count") is None else body["count"])
        if wanted.takes_all:
            for pool in self._pools:
                if not pool.is_complete:
                    raise DeviceError(f"{where}: asks for all devices, but resource pool {pool.id} is currently being updated")
                if not pool.is_valid:
                    raise DeviceError(f"{where}: asks for all devices, but resource pool {pool.id} is currently invalid")
                wanted.every += [device for device in pool.devices if self._is_selectable(claim_index, wanted, device)]
            wanted.count = len(wanted.every)
        return wanted

    def _is_selectable(self, claim_index: int, wanted: Wanted, device: Device) -> bool:
        key = (device.id, claim_index, wanted.name)
        if key not in self._matches:
            view = self._views.get(device.id)
            if view is None:
                view = self._views[device.id] = view_of(device)
            spec = wanted.device_class.get("spec") or {}
            self._matches[key] = selected(
                device, view, spec.get("selectors") or (), f"class {wanted.device_class['metadata']['name']}"
            ) and selected(device, view, wanted.body.get("selectors") or (), f"claim {_key(self._claims[claim_index])}")
        return self._matches[key]

    # ---- searching -----------------------------------------------------------------------------------------------------------

    def _next_request(self, claim_index: int, request_index: int) -> bool:
        if claim_index == len(self._claims):
            return True
        if request_index == len(self._wanted[claim_index]):
            return self._next_request(claim_index + 1, 0)
        return any(self._next_device(claim_index, request_index, wanted, 0, 0) for wanted in self._wanted[claim_index][request_index])

    def _next_device(self, claim_index: int, request_index: int, wanted: Wanted, number: int, start: int) -> bool:
        """Find the device of this number and everything after it; devices before ``start`` were tried for the one before."""
        if wanted.takes_all and not wanted.every:
            return False
        if number >= wanted.count:
            return self._next_request(claim_index, request_index + 1)
        if len(self._chosen[claim_index]) + wanted.count - number > RESULTS_MAX:
            return False
        if wanted.takes_all:
            return self._try(claim_index, request_index, wanted, number, 0, wanted.every[number])
        candidates = [device for pool in self._pools if pool.is_complete and pool.is_valid for device in pool.devices]
        return any(
            self._is_free(claim_index, wanted, candidates[at])
            and self._is_selectable(claim_index, wanted, candidates[at])
            and self._try(claim_index, request_index, wanted, number, at + 1, candidates[at])
            for at in range(start, len(candidates))
        )

    def _is_free(self, claim_index: int, wanted: Wanted, device: Device) -> bool:
        taken = self._taken.get(device.id) or ()
        if is_shared(device) and not wanted.has_admin_access:
            return True
        return claim_index not in taken if wanted.has_admin_access else device.id not in self._in_use and not taken

    def _try(self, claim_index: int, request_index: int, wanted: Wanted, number: int, start: int, device: Device) -> bool:
        """Take a device and go on; give it back when that leads nowhere."""
        if not self._is_free(claim_index, wanted, device) or not is_tolerated(device, wanted.body.get("tolerations") or ()):
            return False
        share = consumed(device, wanted.body)
        if share is None or not self._has_counters(device):
            return False
        is_share = is_shared(device) and not wanted.has_admin_access
        if is_share and not fits(device, share, self._shares.get(device.id) or ()):
            return False
        added: list[Constraint] = []
        for constraint in self._constraints[claim_index]:
            if not constraint.add(wanted, device):
                for other in added:
                    other.remove(wanted)
                if wanted.takes_all:
                    text = f"cannot add device {device.id} because a claim constraint would not be satisfied"
                    raise DeviceError(f"claim {_key(self._claims[claim_index])}, request {wanted.name.rpartition('/')[2]}: {text}")
                return False
            added.append(constraint)
        self._taken.setdefault(device.id, []).append(claim_index)
        self._chosen[claim_index].append(Chosen(wanted, device, share if is_share else None))
        if is_share:
            self._shares.setdefault(device.id, []).append(share)
        if self._next_device(claim_index, request_index, wanted, number + 1, start):
            return True
        self._chosen[claim_index].pop()
        self._taken[device.id].pop()
        if is_share:
            self._shares[device.id].pop()
        for constraint in added:
            constraint.remove(wanted)
        return False

    def _has_counters(self, device: Device) -> bool:
        """Whether the pool's counters have what the device consumes, beside all devices in use and taken."""
        needed = _consumption(device.obj)
        if not needed or self._shares.get(device.id):  # a device that is shared already has taken its counters
            return True
        pool = self._pool_of[f"{device.driver}/{device.pool}"]
        left: dict[tuple[str, str], int] = {}
        for spec in pool.slices:
            for counters in spec.get("sharedCounters") or ():
                for name, counter in (counters.get("counters") or {}).items():
                    left[counters["name"], name] = quantity.milli_value(str(counter["value"]))
        for spec in pool.slices:
            for obj in spec.get("devices") or ():
                other = f"{device.driver}/{device.pool}/{obj['name']}"
                if other in self._in_use or self._taken.get(other) or self._shares.get(other):
                    for key, amount in _consumption(obj).items():
                        left[key] = left.get(key, 0) - amount
        return all(left.get(key, 0) >= amount for key, amount in needed.items())

    # ---- the result ----------------------------------------------------------------------------------------------------------

    def _result(self, claim_index: int) -> Object:
        """The AllocationResult of a claim."""
        claim, chosen = self._claims[claim_index], self._chosen[claim_index]
        results = []
        for each in chosen:
            device, body = each.device, each.wanted.body
            result: Object = {"request": each.wanted.name, "driver": device.driver, "pool": device.pool, "device": device.name}
            if each.wanted.has_admin_access:
                result["adminAccess"] = True
            if body.get("tolerations"):
                result["tolerations"] = body["tolerations"]
            if each.share is not None:
                result["shareID"] = share_id(claim, each.wanted.name, device)
                result["consumedCapacity"] = texts(device, each.share)
            results.append(result)
        devices: Object = {"results": results}
        config = self._config(claim, chosen)
        if config:
            devices["config"] = config
        allocation: Object = {"devices": devices}
        selector = self._node_selector(chosen)
        if selector is not None:
            allocation["nodeSelector"] = selector
        return allocation

    def _config(self, claim: Object, chosen: Sequence[Chosen]) -> list[Object]:
        """Each class's configuration once, for all its requests; then the claim's own. No requests: all of them."""
        found: list[Object] = []
        requests = _devices(claim).get("requests") or ()
        names: dict[str, list[str]] = {}
        classes: dict[str, Object] = {}
        for wanted in {each.wanted.name: each.wanted for each in chosen}.values():
            name = wanted.device_class["metadata"]["name"]
            classes[name] = wanted.device_class
            names.setdefault(name, []).append(wanted.name)
        for name, device_class in classes.items():
            for config in (device_class.get("spec") or {}).get("config") or ():
                found.append({"source": "FromClass", "requests": names[name], **config})
        used = [name for found_names in names.values() for name in found_names]
        bases = [name.partition("/")[0] for name in used]
        for config in _devices(claim).get("config") or ():
            wanted_for = config.get("requests") or ()
            if not wanted_for or any(name in wanted_for for name in (*used, *bases)):
                found.append({"source": "FromClaim", **config})
        for config in found:
            if len(config.get("requests") or ()) == len(requests):
                config.pop("requests", None)
        return found

    def _node_selector(self, chosen: Sequence[Chosen]) -> Object | None:
        """Where the devices can be used: one node if any is local to it, else all terms of their selectors together."""
        expressions: list[Any] = []
        fields: list[Any] = []
        for each in chosen:
            selection = each.device.obj if each.device.slice_.get("perDeviceNodeSelection") else each.device.slice_
            if selection.get("nodeName"):
                field_ = {"key": "metadata.name", "operator": "In", "values": [selection["nodeName"]]}
                return {"nodeSelectorTerms": [{"matchFields": [field_]}]}
            for term in (selection.get("nodeSelector") or {}).get("nodeSelectorTerms") or ():
                expressions += [found for found in term.get("matchExpressions") or () if found not in expressions]
                fields += [found for found in term.get("matchFields") or () if found not in fields]
        term = {**({"matchExpressions": expressions} if expressions else {}), **({"matchFields": fields} if fields else {})}
        return {"nodeSelectorTerms": [term]} if term else None


def devices_in_use(claims: Iterable[Object]) -> InUse:
    """The devices that allocated claims have."""
    known = list(claims)
    found = []
    for claim in known:
        allocation = (claim.get("status") or {}).get("allocation") or {}
        for result in (allocation.get("devices") or {}).get("results") or ():
            if not result.get("adminAccess") and not result.get("shareID"):
                found.append(f"{result['driver']}/{result['pool']}/{result['device']}")
    return InUse(found, shares_in_use(known))


def _devices(claim: Object) -> Mapping[str, Any]:
    return (claim.get("spec") or {}).get("devices") or {}


def _key(claim: Object) -> str:
    return f"{claim['metadata'].get('namespace') or 'default'}/{claim['metadata']['name']}"


def _consumption(device: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """(counter set, counter) -> how much a device takes."""
    return {
        (entry["counterSet"], name): quantity.milli_value(str(counter["value"]))
        for entry in device.get("consumesCounters") or ()
        for name, counter in (entry.get("counters") or {}).items()
    }
