"""Bugs of stale caches: a controller acts on what it has not seen yet. Before v1.36 by design, in v1.36 mended by reading one's own
writes.
"""

from kubesim.testing.bugs import scenario
from kubesim.testing.bugs.lab import Lab, job, workload


def _mode(faulty: bool) -> str:
    return "pre-1.36" if faulty else "1.36"


@scenario("k8s-129795", "expectations expire while the watch of Pods lags, and the ReplicaSet makes its Pods again", "E3", "pre-1.36")
def expired_expectations(faulty: bool) -> list[str]:
    """The watch of Pods stands still for six minutes; a change of the ReplicaSet wakes its controller."""
    lab = Lab(_mode(faulty))
    lab.link.hold("pods")
    lab.create(workload("ReplicaSet", "web", replicas=3))
    lab.run(1)
    lab.run(5 * 60 + 5)
    lab.merge("replicasets.apps", "web", {"metadata": {"annotations": {"touched": "yes"}}})
    lab.run(5)
    count = len(lab.living())
    lab.link.release()
    return [f"E3: ReplicaSet web wants 3 Pods and has {count}"] if count > 3 else []


@scenario("k8s-93374", "a second EndpointSlice for the same Pods, because the first is not in the cache yet", "P1", "pre-1.36")
def duplicate_slices(faulty: bool) -> list[str]:
    """The watch of EndpointSlices lags while Pods become ready."""
    lab = Lab(_mode(faulty))
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    lab.link.hold("endpointslices.discovery.k8s.io")
    lab.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
    lab.run(1)
    lab.create(workload("ReplicaSet", "web", replicas=2))
    lab.run(5)
    slices = lab.all("endpointslices.discovery.k8s.io")
    addresses = [address for piece in slices for endpoint in piece.get("endpoints") or () for address in endpoint["addresses"]]
    lab.link.release()
    extra = len(slices) > 1 or len(addresses) > len(set(addresses))
    return [f"P1: Service web has {len(slices)} slices, which show {addresses}"] if extra else []


@scenario("k8s-130103", "a Job that does not see its own status makes a Pod more than it needs", "E8", "pre-1.36")
def job_makes_one_more(faulty: bool) -> list[str]:
    """The Job's watch lags from the moment its Pod has succeeded; the Pod is counted, released and deleted meanwhile."""
    lab = Lab(_mode(faulty))
    lab.create(job("once", {"fake/run-for": "6"}))
    lab.run_until(lambda: lab.get("jobs.batch", "once").get("status", {}).get("ready") == 1)
    lab.run(0.5)
    lab.link.hold("jobs.batch")
    lab.run(8)
    for pod in lab.all("pods"):
        lab.delete("pods", pod["metadata"]["name"])
    lab.run(30)
    made = lab.made("pods")
    lab.link.release()
    return [f"E8: Job once needs 1 Pod and made {made}"] if made > 1 else []


@scenario("sieve-stale-statefulset", "a StatefulSet that does not see its Pods tries to make them for ever", "E13", "pre-1.36")
def statefulset_storm(faulty: bool) -> list[str]:
    """The watch of Pods lags; every try meets AlreadyExists."""
    lab = Lab(_mode(faulty))
    refused = [0]

    def count(request: object) -> str:
        if getattr(request, "verb", "") == "create" and getattr(request, "resource", "") == "pods":
            refused[0] += 1
        return ""

    lab.link.hold("pods")
    lab.link.intercept = count
    lab.create(workload("StatefulSet", "db", replicas=1, serviceName="db"))
    lab.run(60)
    lab.link.release()
    return [f"E13: StatefulSet db wants 1 Pod and asked for it {refused[0]} times"] if refused[0] > 1 else []


@scenario("k8s-54096", "a DaemonSet controller that restarts on an old list puts a second Pod on every node", "E7", "design")
def daemons_twice(faulty: bool) -> list[str]:
    """The controller dies after it has made its Pods; the next one lists from an apiserver that lags (KEP-5647 leaves restarts out)."""
    lab = Lab()
    old = lab.snapshot("pods")
    lab.create(workload("DaemonSet", "agent"))
    lab.run(3)
    lab.stop_controllers()
    lab.start_controllers({"pods": old} if faulty else None)
    lab.run(3)
    nodes = [pod["spec"].get("nodeName") for pod in lab.living()]
    doubled = sorted({str(node) for node in nodes if nodes.count(node) > 1})
    lab.link.release()
    return [f"E7: DaemonSet agent has more than one Pod on {', '.join(doubled)}"] if doubled else []
