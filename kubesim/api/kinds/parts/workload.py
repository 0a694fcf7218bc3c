"""What ReplicaSet, Deployment, StatefulSet, DaemonSet and Job share: a selector that must match a Pod template.

Upstream: pkg/apis/apps/validation/validation.go.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names, selectors
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.label_selector import label_selector_errors
from kubesim.api.kinds.parts.metadata import not_negative_errors
from kubesim.api.kinds.parts.pod_validation import pod_spec_errors

Object = dict[str, Any]
SELECTOR_MISMATCH = "`selector` does not match template `labels`"


def selector_errors(spec: Object, when_empty: str) -> list[FieldError]:
    """A selector that is missing, empty or malformed, as a workload may not have it."""
    selector = spec.get("selector")
    if selector is None:
        return [field.required("spec.selector")]
    wrong = label_selector_errors(selector, "spec.selector")
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        wrong.append(field.invalid("spec.selector", selector, when_empty))
    return wrong


def _is_malformed(selector: Object | None) -> bool:
    try:
        selectors.from_object(selector)
    except ValueError:
        return True
    return False


def template_errors(spec: Object, path: str, *, with_spec: bool = True) -> list[FieldError]:
    """Errors of a workload's Pod template that must match its selector and keep its Pods running.

    ``with_spec=False`` leaves the Pod spec to the creation of Pods, as upstream does for a StatefulSet: its volumes are not all there yet.
    """
    template, selector = spec.get("template") or {}, spec.get("selector")
    if _is_malformed(selector):
        return [field.invalid("spec.selector", _without_empty(selector), "invalid label selector")]
    wrong = selector_matches_template_errors(selector, template, path)
    wrong += pod_template_errors(template, path) if with_spec else template_metadata_errors(template, path)
    if wrong and any(error.field == f"{path}.spec.containers" for error in wrong):
        return wrong
    return wrong + restart_policy_errors(template, path)


def _without_empty(selector: Any) -> Any:
    """A selector as upstream writes it: empty lists are left out."""
    expressions = [{key: value for key, value in term.items() if value != []} for term in selector.get("matchExpressions") or ()]
    return {**selector, "matchExpressions": expressions} if expressions else selector


def pod_template_errors(template: Object, path: str) -> list[FieldError]:
    """Errors of a Pod template: metadata and spec (ValidatePodTemplateSpec)."""
    return template_metadata_errors(template, path) + pod_spec_errors(template.get("spec") or {}, f"{path}.spec")


def template_metadata_errors(template: Object, path: str) -> list[FieldError]:
    """Errors of the labels and annotations of a Pod template."""
    metadata = template.get("metadata") or {}
    wrong = names.label_errors(metadata.get("labels"), f"{path}.labels")
    return wrong + names.annotation_errors(metadata.get("annotations"), f"{path}.annotations")


def selector_matches_template_errors(selector: Object | None, template: Object, path: str) -> list[FieldError]:
    """An error when the selector does not match the labels of the template."""
    compiled = selectors.from_object(selector)
    labels = (template.get("metadata") or {}).get("labels")
    if compiled.is_empty or compiled.matches(labels or {}):
        return []
    return [field.invalid(f"{path}.metadata.labels", labels, SELECTOR_MISMATCH)]


def restart_policy_errors(template: Object, path: str) -> list[FieldError]:
    """A template of a controller that keeps Pods running must restart always, without a deadline."""
    spec = template.get("spec") or {}
    wrong: list[FieldError] = []
    if spec.get("restartPolicy", "Always") != "Always":
        wrong.append(field.not_supported(f"{path}.spec.restartPolicy", spec["restartPolicy"], ["Always"]))
    if spec.get("activeDeadlineSeconds") is not None:
        wrong.append(field.forbidden(f"{path}.spec.activeDeadlineSeconds", "activeDeadlineSeconds in ReplicaSet is not Supported"))
    return wrong


_NOT_MORE_THAN_REPLICAS = "cannot be greater than status.replicas"


def replica_status_errors(status: Object) -> list[FieldError]:
    """Errors of a ReplicaSet's status: no count negative, none above the replicas (ValidateReplicaSetStatus)."""
    replicas = status.get("replicas", 0)
    counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
    wrong = [error for name in counts for error in not_negative_errors(status.get(name), f"status.{name}")]
    for name in ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"):
        if status.get(name, 0) > replicas:
            wrong.append(field.invalid(f"status.{name}", status[name], _NOT_MORE_THAN_REPLICAS))
    if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        wrong.append(field.invalid("status.availableReplicas", status["availableReplicas"], "cannot be greater than readyReplicas"))
    return wrong


def status_count_errors(status: Object, counts: Sequence[str], bounded: Sequence[str]) -> list[FieldError]:
    """Counts of a status below zero, and ``bounded`` ones above ``replicas``."""
    wrong = [error for name in counts for error in not_negative_errors(status.get(name), f"status.{name}")]
    replicas = status.get("replicas", 0)
    return wrong + [
        field.invalid(f"status.{name}", status[name], _NOT_MORE_THAN_REPLICAS) for name in bounded if status.get(name, 0) > replicas
    ]
