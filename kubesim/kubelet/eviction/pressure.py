"""What a node says about pressure, and which Pods it takes while it lasts. Pure.

Upstream: pkg/kubelet/nodestatus/setters.go, eviction/eviction_manager.go (Admit).
"""

from kubesim.apiserver.requests import Object
from kubesim.kernel.time import format_time
from kubesim.kubelet.eviction.ranking import CRITICAL_PRIORITY

REPORTS = {  # condition -> (reason and message, Event) when it holds, and when it does not
    "MemoryPressure": (
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available", "NodeHasInsufficientMemory"),
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available", "NodeHasSufficientMemory"),
    ),
    "DiskPressure": (
        ("KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure"),
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"),
    ),
}


def condition_of(name: str, holds: bool, now_ns: int) -> Object:
    """A node condition of pressure, upstream's reasons and messages."""
    reason, message, _ = REPORTS[name][0 if holds else 1]
    now = format_time(now_ns)
    status = "True" if holds else "False"
    return {"type": name, "status": status, "lastHeartbeatTime": now, "lastTransitionTime": now, "reason": reason, "message": message}


def admit_under_pressure(conditions: tuple[str, ...], qos: str, priority: int, is_static: bool, tolerates_memory: bool) -> str:
    """ "" when a Pod may start on a node with these conditions, else why not. Under memory pressure only BestEffort Pods are refused."""
    if not conditions or is_static or priority >= CRITICAL_PRIORITY:
        return ""
    if conditions == ("MemoryPressure",) and (qos != "BestEffort" or tolerates_memory):
        return ""
    return f"The node had condition: [{' '.join(conditions)}]. "
