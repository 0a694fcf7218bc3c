"""What a served cluster has from the start, and the Lease of the server."""

from kubesim.apiserver.server import ApiServer
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import SECOND
from kubesim.server.apiserver.bootstrap import USER, bootstrap, bootstrap_requests
from kubesim.server.apiserver.identity import IdentityLease

APISERVICES, LEASES = "apiservices.apiregistration.k8s.io", "leases.coordination.k8s.io"
LEVELS, SCHEMAS = "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", "flowschemas.flowcontrol.apiserver.k8s.io"


def started() -> ApiServer:
    kernel = Kernel(seed=5)
    server = ApiServer(kernel, LocalEtcd(kernel), track_fields=True, debug=True)
    bootstrap(server, bootstrap_requests(server.now_text(), "authority", "10.96.0.0/16", "192.0.2.10", 6443))
    return server


def names(server: ApiServer, resource: str) -> list[str]:
    return [obj["metadata"]["name"] for obj in server.peek_all(resource)]


def test_every_flow_schema_leads_to_a_level_that_is_there() -> None:
    server = started()
    levels = names(server, LEVELS)
    assert levels == ["catch-all", "exempt", "global-default", "leader-election", "node-high", "system", "workload-high", "workload-low"]
    schemas = server.peek_all(SCHEMAS)
    assert len(schemas) == 13
    for schema in schemas:
        assert schema["spec"]["priorityLevelConfiguration"]["name"] in levels
        assert schema["status"]["conditions"][0]["status"] == "False"


def test_every_group_has_its_service_and_is_available() -> None:
    services = started().peek_all(APISERVICES)
    assert [each["metadata"]["name"] for each in services][:2] == ["v1.", "v1.admissionregistration.k8s.io"]
    assert {each["status"]["conditions"][0]["status"] for each in services} == {"True"}
    assert "v1.apiregistration.k8s.io" not in {each["metadata"]["name"] for each in services}


def test_the_server_has_endpoints_and_a_range() -> None:
    server = started()
    assert server.peek("endpoints", "default", "kubernetes")["subsets"][0]["addresses"] == [{"ip": "192.0.2.10"}]
    assert server.peek("endpointslices.discovery.k8s.io", "default", "kubernetes")["ports"][0]["port"] == 6443
    assert names(server, "servicecidrs.networking.k8s.io") == ["kubernetes"]


def test_starting_again_changes_nothing() -> None:
    server = started()
    revision = server.store.revision
    server.kernel.run_due(server.kernel.now_ns + SECOND)
    bootstrap(server, bootstrap_requests(server.now_text(), "authority", "10.96.0.0/16", "192.0.2.10", 6443))
    assert server.store.revision == revision


def test_the_lease_is_renewed_every_ten_seconds_and_survives_that_somebody_deletes_it() -> None:
    server = started()
    lease = IdentityLease(server, "host", USER)
    lease.renew()
    first = server.peek(LEASES, "kube-system", lease.name)
    server.kernel.run_due(25 * SECOND + server.kernel.now_ns)
    second = server.peek(LEASES, "kube-system", lease.name)
    assert first["metadata"]["uid"] == second["metadata"]["uid"]
    assert first["spec"]["renewTime"] < second["spec"]["renewTime"]
    from kubesim.apiserver.requests import delete

    server.call(delete(LEASES, "kube-system", lease.name))
    server.kernel.run_due(10 * SECOND + server.kernel.now_ns)
    assert server.peek(LEASES, "kube-system", lease.name)["metadata"]["uid"] != first["metadata"]["uid"]
