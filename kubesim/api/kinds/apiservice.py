"""APIService. Upstream: kube-aggregator/pkg/apis/apiregistration/validation and pkg/registry/apiservice.

One without a Service stands for a group that the server serves itself: it is available from the start.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.conditions import get_condition
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.checks import text_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change, changed_spec, fill, get_in, keep_all_but_status, keep_status

Object = dict[str, Any]
GROUP_PRIORITY_MAX, VERSION_PRIORITY_MAX = 20000, 1000
_LOCAL = {"type": "Available", "status": "True", "reason": "Local", "message": "Local APIServices are always available"}


def _default(service: Object) -> Object:
    return changed_spec(service, lambda spec: change(spec, "service", lambda reference: fill(reference, {"port": 443})))


def _prepare_create(service: Object) -> Object:
    if get_in(service, "spec", "service") is not None:
        return {**service, "status": {}}
    return {**service, "status": {"conditions": [{**_LOCAL, "lastTransitionTime": service["metadata"].get("creationTimestamp")}]}}


def _validate(service: Object) -> Sequence[FieldError]:
    spec = service.get("spec") or {}
    group, version = spec.get("group") or "", spec.get("version") or ""
    expected = f"{version}.{group}"

    def check(name: str) -> list[str]:
        wrong = names.check_path_segment(name)
        return wrong or ([] if name == expected else [f'must be `spec.version+"."+spec.group`: {field.quote(expected)}'])

    wrong = metadata_errors(service, namespaced=False, check=check)
    if not group and version != "v1":
        wrong.append(field.required("spec.group", "only v1 may have an empty group and it better be legacy kube"))
    if group:
        wrong += text_errors(group, "spec.group", names.check_dns_subdomain)
    wrong += text_errors(version, "spec.version", names.check_dns_1035_label)
    for name, value_max in (("groupPriorityMinimum", GROUP_PRIORITY_MAX), ("versionPriority", VERSION_PRIORITY_MAX)):
        if not 0 < spec.get(name, 0) <= value_max:
            wrong.append(field.invalid(f"spec.{name}", spec.get(name, 0), f"must be positive and less than {value_max}"))
    return wrong + _reference_errors(spec)


def _reference_errors(spec: Object) -> list[FieldError]:
    reference, bundle, skips = spec.get("service"), spec.get("caBundle"), bool(spec.get("insecureSkipTLSVerify"))
    at = "spec.insecureSkipTLSVerify"
    if reference is None:
        wrong = [field.invalid("spec.caBundle", f"{len(bundle)} bytes", "local APIServices may not have a caBundle")] if bundle else []
        return wrong + ([field.invalid(at, True, "local APIServices may not have insecureSkipTLSVerify")] if skips else [])
    wrong = [field.required(f"spec.service.{name}") for name in ("namespace", "name") if not reference.get(name)]
    port = reference.get("port", 0)
    if problems := names.check_port_number(port):
        wrong.append(field.invalid("spec.service.port", port, f"port is not valid: {','.join(problems)}"))
    return wrong + ([field.invalid(at, True, "may not be true if caBundle is present")] if skips and bundle else [])


def _service_cell(service: Object, now_ns: int) -> str:
    reference = get_in(service, "spec", "service")
    return f"{reference['namespace']}/{reference['name']}" if reference else "Local"


def _available_cell(service: Object, now_ns: int) -> str:
    condition = get_condition(service, "Available")
    if condition is None:
        return "Unknown"
    status: str = condition["status"]
    return status if status == "True" else f"{status} ({condition.get('reason', '')})"


KIND = Kind(
    group="apiregistration.k8s.io",
    version="v1",
    kind="APIService",
    plural="apiservices",
    namespaced=False,
    categories=("api-extensions",),
    schema="io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
    subresources=("status",),
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=metadata_update_errors,
    validate_status=metadata_update_errors,
    columns=(NAME, Column("Service", "string", _service_cell), Column("Available", "string", _available_cell), AGE),
    has_generation=False,
    allow_unconditional_update=False,
)
