"""The apiserver in process: optimistic concurrency, dry runs, a watch from a revision, finalizers."""

from kubesim import Cluster
from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request
from kubesim.testing import builders


def main() -> None:
    """Write to one ConfigMap twice from the same version, watch it, and delete it with a finalizer."""
    with Cluster(nodes=0) as cluster:
        server = cluster.apiserver
        (created,) = cluster.apply(builders.config_map("settings", colour="red"))
        seen = int(created["metadata"]["resourceVersion"])
        watch = server.watch("configmaps", namespace="default", revision=seen, on_ready=lambda: None)

        changed = {**created, "data": {"colour": "blue"}}
        server.call(Request("update", "configmaps", "default", "settings", obj=changed, user="alice"))
        try:
            server.call(Request("update", "configmaps", "default", "settings", obj={**changed, "data": {"colour": "green"}}, user="bob"))
        except ApiError as error:
            print(f"bob is told: {error.code} {error.reason}")
            assert error.code == 409

        cluster.patch("ConfigMap", "settings", {"metadata": {"finalizers": ["example.com/wait"]}}, patch_type="merge")
        cluster.delete("ConfigMap", "settings")
        assert "deletionTimestamp" in cluster.get("ConfigMap", "settings")["metadata"], "it waits for its finalizer"
        cluster.patch("ConfigMap", "settings", {"metadata": {"finalizers": None}}, patch_type="merge")

        cluster.run_for("1s")
        events = [(event.type, event.obj["metadata"]["resourceVersion"]) for event in watch.take()]
        for type_, version in events:
            print(f"watch: {type_} at {version}")
        assert [type_ for type_, _ in events][-1] == "DELETED"
        assert [int(version) for _, version in events] == sorted(int(version) for _, version in events)


if __name__ == "__main__":
    main()
