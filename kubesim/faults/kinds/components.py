"""Faults of the control plane and of kubelets as processes."""

from kubesim.faults.contract import End, Kind, Parameter, Parameters, Target, component, host, node, span
from kubesim.kernel.rng import Stream


def _crash(target: Target, parameters: Parameters, stream: Stream) -> End:
    """The process dies and forgets everything; at the end of the fault it starts anew. Containers of a kubelet run on."""
    if parameters["component"] == "kubelet":
        name = _the_node(parameters)
        target.kubelets.disconnect(name)
        return lambda: target.kubelets.reconnect(name)
    return target.crash(parameters["component"], parameters["host"] or "")


def _pause(target: Target, parameters: Parameters, stream: Stream) -> End:
    """The process stops where it is, and goes on from there at the end of the fault: what it was sent comes late."""
    if parameters["component"] == "kubelet":
        name = _the_node(parameters)
        target.kubelets.disconnect(name)
        return lambda: target.kubelets.reconnect(name)
    return target.pause(parameters["component"], parameters["host"] or "")


def _the_node(parameters: Parameters) -> str:
    if parameters["node"] is None:
        raise ValueError("node: missing: expected the node whose kubelet is meant")
    return str(parameters["node"])


def _slow_etcd(target: Target, parameters: Parameters, stream: Stream) -> End:
    """Every sync of the member's disk takes this long."""
    return target.slow_disk(parameters["host"], parameters["latency"])


PLACE = (Parameter("component", component, required=True), Parameter("host", host), Parameter("node", node))
FAULTS = (
    Kind("crash", "a component dies and is started again at the end", _crash, PLACE),
    Kind("pause", "a component stops where it is and goes on at the end", _pause, PLACE),
    Kind(
        "slow-etcd-disk",
        "the disk of an etcd member is slow",
        _slow_etcd,
        (Parameter("host", host, required=True), Parameter("latency", span, required=True)),
    ),
)
