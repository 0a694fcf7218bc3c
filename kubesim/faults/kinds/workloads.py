"""Faults of images, containers and Pods."""

from collections.abc import Iterator

from kubesim.api.selectors import Selector
from kubesim.apiserver.requests import Object
from kubesim.faults.contract import End, Kind, Parameter, Parameters, Target, number, selector, span, text
from kubesim.kernel.rng import Stream
from kubesim.kernel.time import SECOND
from kubesim.kubelet.models.contract import Crashes, PodBehaviour
from kubesim.kubelet.models.settings import COUNT_MAX
from kubesim.kubelet.pod_state import RUNNING
from kubesim.kubelet.pod_worker import PodWorker

PULL_ERROR = "rpc error: code = NotFound desc = not found"


def _pull_error(target: Target, parameters: Parameters, stream: Stream) -> End:
    """Pulls of images whose name matches the pattern fail."""
    errors = target.kubelets.image_errors
    pattern = parameters["image"]
    errors[pattern] = parameters["error"]
    return lambda: errors.pop(pattern, None)


def _chosen(target: Target, parameters: Parameters) -> Iterator[PodWorker]:
    for agent in list(target.kubelets.nodes.values()):
        for worker in list(agent.workers.values()):
            if _is_meant(worker.pod, parameters):
                yield worker


def _is_meant(pod: Object, parameters: Parameters) -> bool:
    chosen: Selector = parameters["selector"]
    return pod["metadata"]["namespace"] == parameters["namespace"] and chosen.matches(pod["metadata"].get("labels") or {})


def _indexes(worker: PodWorker, parameters: Parameters) -> list[int]:
    name = parameters["container"]
    return [each.facts.index for each in worker.state.containers if each.status == RUNNING and name in (None, each.facts.name)]


def _oom(target: Target, parameters: Parameters, stream: Stream) -> None:
    """The kernel of the node kills running containers."""
    for worker in _chosen(target, parameters):
        for index in _indexes(worker, parameters):
            worker.kill_for_memory(index)


def _crash_loop(target: Target, parameters: Parameters, stream: Stream) -> End:
    """Containers end, and end again after each start, until the fault does."""
    crashes = Crashes(COUNT_MAX, parameters["after"], parameters["code"])
    name = parameters["container"]

    def tamper(pod: Object, behaviour: PodBehaviour) -> PodBehaviour:
        if not _is_meant(pod, parameters):
            return behaviour
        changed = behaviour.copy()
        for container in pod["spec"]["containers"]:
            if name in (None, container["name"]):
                own = changed.of(container["name"]).copy()
                own.crashes = crashes
                changed.by_container[container["name"]] = own
        return changed

    tampers = target.kubelets.tampers
    tampers.append(tamper)
    for worker in _chosen(target, parameters):
        worker.reconsider()
        for index in _indexes(worker, parameters):
            worker.end_container(index, parameters["code"])

    def end() -> None:
        tampers.remove(tamper)
        for worker in _chosen(target, parameters):
            worker.reconsider()

    return end


def _kill_pods(target: Target, parameters: Parameters, stream: Stream) -> None:
    """Somebody deletes so many of the Pods, drawn from them all."""
    workers = [worker for worker in _chosen(target, parameters) if not worker.state.closing]
    stream.shuffle(workers)
    for worker in workers[: parameters["count"]]:
        target.delete_pod(worker.namespace, worker.name)


PODS = (Parameter("selector", selector, required=True), Parameter("namespace", text, "default"))
CONTAINER = Parameter("container", text)
CODE = Parameter("code", number(1, 255), 1)
FAULTS = (
    Kind(
        "image-pull-error",
        "pulls of some images fail",
        _pull_error,
        (Parameter("image", text, required=True), Parameter("error", text, PULL_ERROR)),
    ),
    Kind("oom", "containers are killed for want of memory", _oom, (*PODS, CONTAINER)),
    Kind("crash-loop", "containers end again and again", _crash_loop, (*PODS, CONTAINER, Parameter("after", span, SECOND), CODE)),
    Kind("kill-pods", "some Pods are deleted", _kill_pods, (*PODS, Parameter("count", number(1, 1_000_000), 1))),
)
