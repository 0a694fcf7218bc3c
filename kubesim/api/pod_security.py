"""The Pod Security Standards: which rules of "baseline" and "restricted" a Pod (or a template) breaks, in upstream's words.

Upstream: k8s.io/pod-security-admission/policy. The checks are those of the newest version.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

Object = dict[str, Any]
PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
LEVELS = (PRIVILEGED, BASELINE, RESTRICTED)
_DEFAULT_CAPABILITIES = frozenset((
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP",
    "SETUID", "SYS_CHROOT",
))  # fmt: skip
_ALLOWED_VOLUMES = frozenset((
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
))  # fmt: skip
_SYSCTLS = frozenset((
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
))  # fmt: skip
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")


class Violation(NamedTuple):
    """A rule that is broken, and how."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


Check = Callable[[Object, Object], Violation | None]  # (metadata, spec)


def _containers(spec: Object) -> Iterator[Object]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def _context(container: Object) -> Object:
    return container.get("securityContext") or {}


def _named(names: Iterable[str], noun: str = "container") -> str:
    listed = list(names)
    return f"{noun}{'s' if len(listed) > 1 else ''} {_quoted(listed)}"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _bad(spec: Object, is_bad: Callable[[Object], bool]) -> list[str]:
    return [container["name"] for container in _containers(spec) if is_bad(_context(container))]


def _is_windows(spec: Object) -> bool:
    return (spec.get("os") or {}).get("name") == "windows"


def _escalation(metadata: Object, spec: Object) -> Violation | None:
    bad = [] if _is_windows(spec) else _bad(spec, lambda context: context.get("allowPrivilegeEscalation") is not False)
    detail = f"{_named(bad)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", detail) if bad else None


def _added(context: Object) -> list[str]:
    return (context.get("capabilities") or {}).get("add") or []


def _capabilities(metadata: Object, spec: Object) -> Violation | None:
    bad, wrong = [], set()
    for container in _containers(spec):
        extra = [name for name in _added(_context(container)) if name not in _DEFAULT_CAPABILITIES]
        if extra:
            bad.append(container["name"])
            wrong.update(extra)
    detail = f"{_named(bad)} must not include {_quoted(sorted(wrong))} in securityContext.capabilities.add" if bad else ""
    return Violation("non-default capabilities", detail) if bad else None


def _capabilities_restricted(metadata: Object, spec: Object) -> Violation | None:
    if _is_windows(spec):
        return None
    keeps = _bad(spec, lambda context: "ALL" not in ((context.get("capabilities") or {}).get("drop") or ()))
    adds = _bad(spec, lambda context: any(name != "NET_BIND_SERVICE" for name in _added(context)))
    wrong = sorted({name for each in _containers(spec) for name in _added(_context(each)) if name != "NET_BIND_SERVICE"})
    details = []
    if keeps:
        details.append(f'{_named(keeps)} must set securityContext.capabilities.drop=["ALL"]')
    if adds:
        details.append(f"{_named(adds)} must not include {_quoted(wrong)} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


def _host_namespaces(metadata: Object, spec: Object) -> Violation | None:
    found = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return Violation("host namespaces", ", ".join(found)) if found else None


def _host_paths(metadata: Object, spec: Object) -> Violation | None:
    names = [volume["name"] for volume in spec.get("volumes") or () if volume.get("hostPath") is not None]
    return Violation("hostPath volumes", _named(names, "volume")) if names else None


def _host_ports(metadata: Object, spec: Object) -> Violation | None:
    bad, ports = [], set()
    for container in _containers(spec):
        found = [port["hostPort"] for port in container.get("ports") or () if port.get("hostPort")]
        if found:
            bad.append(container["name"])
            ports.update(found)
    uses = "use" if len(bad) > 1 else "uses"
    plural = "s" if len(ports) > 1 else ""
    detail = f"{_named(bad)} {uses} hostPort{plural} {', '.join(map(str, sorted(ports)))}" if bad else ""
    return Violation("hostPort", detail) if bad else None


def _privileged(metadata: Object, spec: Object) -> Violation | None:
    bad = _bad(spec, lambda context: bool(context.get("privileged")))
    return Violation("privileged", f"{_named(bad)} must not set securityContext.privileged=true") if bad else None


def _proc_mount(metadata: Object, spec: Object) -> Violation | None:
    bad = _bad(spec, lambda context: context.get("procMount") not in (None, "Default"))
    wrong = sorted({_context(each)["procMount"] for each in _containers(spec) if _context(each).get("procMount") not in (None, "Default")})
    return Violation("procMount", f"{_named(bad)} must not set securityContext.procMount to {_quoted(wrong)}") if bad else None


def _volume_types(metadata: Object, spec: Object) -> Violation | None:
    bad, types = [], []
    for volume in spec.get("volumes") or ():
        wrong = [name for name, source in volume.items() if name != "name" and source is not None and name not in _ALLOWED_VOLUMES]
        if wrong:
            bad.append(volume["name"])
            types += [name for name in wrong if name not in types]
    if not bad:
        return None
    uses, plural = ("use", "s") if len(bad) > 1 else ("uses", "")
    what = f"{uses} restricted volume type{plural if len(types) > 1 else ''} {_quoted(sorted(types))}"
    return Violation("restricted volume types", f"{_named(bad, 'volume')} {what}")


def _non_root(metadata: Object, spec: Object) -> Violation | None:
    of_pod = (spec.get("securityContext") or {}).get("runAsNonRoot")
    explicit = _bad(spec, lambda context: context.get("runAsNonRoot") is False)
    implicit = [] if of_pod else _bad(spec, lambda context: context.get("runAsNonRoot") is None)
    details = []
    if of_pod is False:
        details.append("pod must not set securityContext.runAsNonRoot=false")
    if explicit:
        details.append(f"{_named(explicit)} must not set securityContext.runAsNonRoot=false")
    if implicit and of_pod is None:
        details.append(f"pod or {_named(implicit)} must set securityContext.runAsNonRoot=true")
    return Violation("runAsNonRoot != true", "; ".join(details)) if details else None


def _run_as_user(metadata: Object, spec: Object) -> Violation | None:
    details = []
    if (spec.get("securityContext") or {}).get("runAsUser") == 0:
        details.append("pod must not set runAsUser=0")
    bad = _bad(spec, lambda context: context.get("runAsUser") == 0)
    if bad:
        details.append(f"{_named(bad)} must not set runAsUser=0")
    return Violation("runAsUser=0", "; ".join(details)) if details else None


def _profile(context: Object) -> str | None:
    found: str | None = (context.get("seccompProfile") or {}).get("type")
    return found


def _seccomp(metadata: Object, spec: Object) -> Violation | None:
    details = []
    if _profile(spec.get("securityContext") or {}) == "Unconfined":
        details.append('pod must not set securityContext.seccompProfile.type to "Unconfined"')
    bad = _bad(spec, lambda context: _profile(context) == "Unconfined")
    if bad:
        details.append(f'{_named(bad)} must not set securityContext.seccompProfile.type to "Unconfined"')
    return Violation("seccompProfile", "; ".join(details)) if details else None


def _seccomp_restricted(metadata: Object, spec: Object) -> Violation | None:
    if _is_windows(spec):
        return None
    base = _seccomp(metadata, spec)
    details = [base.detail] if base else []
    if _profile(spec.get("securityContext") or {}) is None:
        bad = _bad(spec, lambda context: _profile(context) is None)
        if bad:
            details.append(f'pod or {_named(bad)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"')
    return Violation("seccompProfile", "; ".join(details)) if details else None


def _selinux(metadata: Object, spec: Object) -> Violation | None:
    holders = [("pod", spec.get("securityContext") or {}), *((each["name"], _context(each)) for each in _containers(spec))]
    bad, wrong = [], []
    for name, context in holders:
        options = context.get("seLinuxOptions") or {}
        found = [f'type "{options["type"]}"'] if options.get("type", "") not in _SELINUX_TYPES else []
        found += [f"{part} may not be set" for part in ("user", "role") if options.get(part)]
        if found:
            bad.append(name)
            wrong += [item for item in found if item not in wrong]
    if not bad:
        return None
    others = [name for name in bad if name != "pod"]
    who = "pod" if bad == ["pod"] else _named(others) if "pod" not in bad else f"pod and {_named(others)}"
    sets = "set" if len(bad) > 1 else "sets"
    return Violation("seLinuxOptions", f"{who} {sets} forbidden securityContext.seLinuxOptions: {'; '.join(wrong)}")


def _sysctls(metadata: Object, spec: Object) -> Violation | None:
    wrong = [each["name"] for each in (spec.get("securityContext") or {}).get("sysctls") or () if each["name"] not in _SYSCTLS]
    return Violation("forbidden sysctls", ", ".join(wrong)) if wrong else None


def _host_process(metadata: Object, spec: Object) -> Violation | None:
    bad = _bad(spec, lambda context: bool((context.get("windowsOptions") or {}).get("hostProcess")))
    of_pod = bool(((spec.get("securityContext") or {}).get("windowsOptions") or {}).get("hostProcess"))
    who = "pod" if of_pod and not bad else f"pod and {_named(bad)}" if of_pod else _named(bad)
    return Violation("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true") if bad or of_pod else None


_ONLY_BASELINE: dict[str, Check] = {
    "capabilities_baseline": _capabilities,
    "hostPathVolumes": _host_paths,
    "seccompProfile_baseline": _seccomp,
}
_BASELINE: dict[str, Check] = {
    "hostNamespaces": _host_namespaces,
    "hostPorts": _host_ports,
    "privileged": _privileged,
    "procMount": _proc_mount,
    "seLinuxOptions": _selinux,
    "sysctls": _sysctls,
    "windowsHostProcess": _host_process,
}
_RESTRICTED: dict[str, Check] = {
    "allowPrivilegeEscalation": _escalation,
    "capabilities_restricted": _capabilities_restricted,
    "restrictedVolumes": _volume_types,
    "runAsNonRoot": _non_root,
    "runAsUser": _run_as_user,
    "seccompProfile_restricted": _seccomp_restricted,
}


def violations(pod: Object, level: str) -> list[Violation]:
    """The rules of a level that a Pod or template breaks: those of baseline first, each in the order of their ids."""
    if level not in (BASELINE, RESTRICTED):
        return []
    first = {**_BASELINE, **(_ONLY_BASELINE if level == BASELINE else {})}
    checks = [first[name] for name in sorted(first)]
    if level == RESTRICTED:
        checks += [_RESTRICTED[name] for name in sorted(_RESTRICTED)]
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    return [found for check in checks if (found := check(metadata, spec)) is not None]
