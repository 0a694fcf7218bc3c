"""/metrics: a few of upstream's series, as Prometheus reads them."""

from collections.abc import Mapping

from kubesim.apiserver.server import ApiServer
from kubesim.kernel.time import SECOND


def metrics_text(server: ApiServer, requests: Mapping[tuple[str, str, int], int], streams: int) -> str:
    """The text of the page. O(resources)."""
    lines = ["# HELP apiserver_request_total Counter of apiserver requests broken out for each verb, resource and code.",
             "# TYPE apiserver_request_total counter"]  # fmt: skip
    for (verb, resource, code), count in sorted(requests.items()):
        lines.append(f'apiserver_request_total{{code="{code}",resource="{resource}",verb="{verb.upper()}"}} {count}')
    lines += ["# HELP apiserver_longrunning_requests Gauge of all active long-running apiserver requests.",
              "# TYPE apiserver_longrunning_requests gauge", f'apiserver_longrunning_requests{{verb="WATCH"}} {streams}']  # fmt: skip
    lines += ["# HELP apiserver_resource_objects Number of stored objects by resource.", "# TYPE apiserver_resource_objects gauge"]
    for name in sorted(server.registry.by_name):
        start, end = server.registry.by_name[name].range("")
        count = server.store.range(start, end, count_only=True).count
        plural, _, group = name.partition(".")
        lines.append(f'apiserver_resource_objects{{group="{group}",resource="{plural}"}} {count}')
    lines += ["# HELP etcd_mvcc_revision The revision of the store.", "# TYPE etcd_mvcc_revision gauge",
              f"etcd_mvcc_revision {server.store.revision}"]  # fmt: skip
    lines += ["# HELP kubesim_time_seconds The virtual time.", "# TYPE kubesim_time_seconds gauge",
              f"kubesim_time_seconds {server.kernel.now_ns / SECOND}", ""]  # fmt: skip
    return "\n".join(lines)
