"""Faults of nodes: power, connection, heartbeat, disk and memory."""

from kubesim.faults.contract import End, Kind, Parameter, Parameters, Target, for_each, node, nodes, number, percent, span
from kubesim.kernel.rng import Stream
from kubesim.kernel.time import SECOND
from kubesim.kubelet.eviction.usage import DISK, MEMORY


def _fail(target: Target, parameters: Parameters, stream: Stream) -> End:
    """The power is cut: kubelet and containers stop, nobody is told."""
    names = parameters["node"]
    for name in names:
        target.kubelets.fail(name)
    return for_each(target.kubelets.restore, names)


def _shut_down(target: Target, parameters: Parameters, stream: Stream) -> End:
    """An orderly shutdown, graceful if the kubelet is configured so."""
    name = parameters["node"]
    target.kubelets.shut_down(name)
    return lambda: target.kubelets.restore(name)


def _flap(target: Target, parameters: Parameters, stream: Stream) -> End:
    """The power goes and comes, each time for a while around ``down`` and ``up``, until the fault ends."""
    name = parameters["node"]
    over = [False]

    def down() -> None:
        if not over[0]:
            target.kubelets.fail(name)
            target.kernel.after(_around(parameters["down"], stream), up)

    def up() -> None:
        if not over[0]:
            target.kubelets.restore(name)
            target.kernel.after(_around(parameters["up"], stream), down)

    def end() -> None:
        over[0] = True
        target.kubelets.restore(name)

    down()
    return end


def _around(span_ns: int, stream: Stream) -> int:
    """Within a quarter of it."""
    return span_ns + stream.between(-span_ns // 4, span_ns // 4) if span_ns else 0


def _partition(target: Target, parameters: Parameters, stream: Stream) -> End:
    """Nothing passes between these nodes and the rest; their containers run on."""
    return target.cut_off(parameters["nodes"])


def _lose_lease(target: Target, parameters: Parameters, stream: Stream) -> End:
    """The node's Lease is not renewed, though its kubelet works on."""
    agent = target.kubelets.node(parameters["node"])
    agent.stop_lease()
    return agent.resume_lease


def _fill(resource: str, target: Target, parameters: Parameters) -> End:
    monitor = target.kubelets.node(parameters["node"]).watch()
    monitor.reserve(resource, monitor.capacity(resource) * parameters["fill"] // 100)
    return lambda: monitor.reserve(resource, 0)


def _disk_pressure(target: Target, parameters: Parameters, stream: Stream) -> End:
    """Something outside of Kubernetes fills the disk to this share."""
    return _fill(DISK, target, parameters)


def _memory_pressure(target: Target, parameters: Parameters, stream: Stream) -> End:
    """Something outside of Kubernetes takes this share of the memory."""
    return _fill(MEMORY, target, parameters)


def _slow_disk(target: Target, parameters: Parameters, stream: Stream) -> End:
    """Sandboxes, pulls and starts on a node take so many times longer."""
    runtime = target.kubelets.node(parameters["node"])
    runtime.slow_down(parameters["factor"])
    return lambda: runtime.slow_down(1)


def _slow_link(target: Target, parameters: Parameters, stream: Stream) -> End:
    """Packets between two nodes take this long."""
    return target.slow_link(parameters["from"], parameters["to"], parameters["latency"])


NODE = Parameter("node", node, required=True)
FILL = Parameter("fill", percent, 95)
FAULTS = (
    Kind("fail-node", "the power of a node (or of several) is cut", _fail, (Parameter("node", nodes, required=True),)),
    Kind("shutdown-node", "a node shuts down, gracefully if it is configured so", _shut_down, (NODE,)),
    Kind(
        "flap-node",
        "a node goes down and up again and again",
        _flap,
        (NODE, Parameter("down", span, 20 * SECOND), Parameter("up", span, 30 * SECOND)),
        True,
    ),
    Kind(
        "partition",
        "nodes are cut off from the apiserver and from all other nodes",
        _partition,
        (Parameter("nodes", nodes, required=True),),
    ),
    Kind("lose-lease", "the Lease of a node is not renewed", _lose_lease, (NODE,)),
    Kind("disk-pressure", "the disk of a node is filled", _disk_pressure, (NODE, FILL)),
    Kind("memory-pressure", "the memory of a node is taken", _memory_pressure, (NODE, FILL)),
    Kind(
        "slow-disk", "everything that a node does on its disk takes longer", _slow_disk, (NODE, Parameter("factor", number(1, 10_000), 10))
    ),
    Kind(
        "slow-link",
        "packets between two nodes take longer",
        _slow_link,
        (Parameter("from", node, required=True), Parameter("to", node, required=True), Parameter("latency", span, required=True)),
    ),
)
