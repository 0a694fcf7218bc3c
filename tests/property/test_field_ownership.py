"""Server-side apply against a plain model: who owns which key of a ConfigMap, and what conflicts, is taken over or removed.

The model knows keys and owners only. The server is asked the same things through its verbs.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim.api.errors import ApiError
from kubesim.api.fields.paths import from_fields
from kubesim.apiserver.requests import Request
from kubesim.apiserver.server import ApiServer
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel

KEYS, VALUES, MANAGERS = ("a", "b", "c"), ("1", "2"), ("m1", "m2", "m3")
DATA = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
APPLY = st.tuples(st.just("apply"), st.sampled_from(MANAGERS), DATA, st.booleans())
UPDATE = st.tuples(st.just("update"), st.sampled_from(MANAGERS), DATA, st.just(False))
LABELS = {"kept": "x"}  # always owned by the creator: an object without any owner is not tracked
Owner = tuple[str, str]


class Model:
    """Values and owners of keys."""

    def __init__(self) -> None:
        self.data: dict[str, str] = {}
        self.owners: dict[str, set[Owner]] = {}

    def apply(self, manager: str, data: dict[str, str], force: bool) -> bool:
        """Apply; False when it conflicts."""
        me = (manager, "Apply")
        changed = {key for key, value in data.items() if self.data.get(key) != value}
        if not force and any(self.owners.get(key, set()) - {me} for key in changed):
            return False
        for key in changed:
            self.owners[key] = set()
        for key, owners in self.owners.items():
            if key not in data and me in owners:
                owners.discard(me)
                if not owners:
                    self.data.pop(key, None)
        self.data.update(data)
        for key in data:
            self.owners.setdefault(key, set()).add(me)
        return True

    def update(self, manager: str, data: dict[str, str]) -> None:
        """Replace everything."""
        for key in (*self.data, *data):
            if self.data.get(key) != data.get(key):
                self.owners[key] = {(manager, "Update")} if key in data else set()
        self.data = dict(data)

    def claims(self) -> dict[Owner, set[str]]:
        """The keys of each owner."""
        found: dict[Owner, set[str]] = {}
        for key, owners in self.owners.items():
            for owner in owners:
                found.setdefault(owner, set()).add(key)
        return found


class ServerSide:
    """The same operations against an apiserver."""

    def __init__(self) -> None:
        kernel = Kernel(seed=1)
        self.server = ApiServer(kernel, LocalEtcd(kernel), track_fields=True, debug=True)
        self.server.call(Request("create", "configmaps", "default", "x", self.body({"a": "0"}, LABELS), options={"fieldManager": "seed"}))

    def body(self, data: dict[str, str], labels: dict[str, str]) -> dict[str, Any]:
        """The object that a client sends."""
        head: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "labels": labels}}
        return {**head, "data": data} if data else head

    def apply(self, manager: str, data: dict[str, str], force: bool) -> bool:
        """Apply; False when it conflicts."""
        options = {"patchType": "apply", "fieldManager": manager, "force": force}
        try:
            self.server.call(Request("patch", "configmaps", "default", "x", self.body(data, {}), options=options))
        except ApiError as error:
            assert error.reason == "Conflict" and error.message.startswith("Apply failed with")
            return False
        return True

    def update(self, manager: str, data: dict[str, str]) -> None:
        """Replace the object."""
        self.server.call(Request("update", "configmaps", "default", "x", self.body(data, LABELS), options={"fieldManager": manager}))

    @property
    def data(self) -> dict[str, str]:
        """What is stored."""
        return dict(self.server.get("configmaps", "default", "x").get("data") or {})

    def claims(self) -> dict[Owner, set[str]]:
        """The keys of each owner, as managedFields say."""
        found: dict[Owner, set[str]] = {}
        for entry in self.server.get("configmaps", "default", "x")["metadata"].get("managedFields") or ():
            keys = {path[1][2:] for path in from_fields(entry["fieldsV1"]) if len(path) == 2 and path[0] == "f:data"}
            if keys:
                found[entry["manager"], entry["operation"]] = keys
        return found


@settings(deadline=None)
@given(st.lists(APPLY | UPDATE, max_size=8))
def test_owners_are_those_of_the_model(steps: list[tuple[str, str, dict[str, str], bool]]) -> None:
    model, server = Model(), ServerSide()
    model.update("seed", {"a": "0"})
    for operation, manager, data, force in steps:
        if operation == "apply":
            assert server.apply(manager, data, force) == model.apply(manager, data, force)
        else:
            model.update(manager, data)
            server.update(manager, data)
        assert server.data == model.data
        assert server.claims() == model.claims()
