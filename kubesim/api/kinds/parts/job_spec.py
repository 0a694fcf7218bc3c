"""Defaults and validation of a Job's spec, of its own and in a CronJob. Upstream: pkg/apis/batch/{v1/defaults,validation/validation}.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.checks import choice_errors, not_negative, text_errors
from kubesim.api.kinds.parts.label_selector import label_selector_errors
from kubesim.api.kinds.parts.pod_spec import default_template
from kubesim.api.kinds.parts.shape import change, change_each, fill
from kubesim.api.kinds.parts.workload import pod_template_errors

Object = dict[str, Any]
NON_INDEXED, INDEXED = "NonIndexed", "Indexed"
INDEXED_PODS_MAX = 100_000
RULES_MAX, EXIT_CODES_MAX = 20, 255
ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_COUNTS = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished", "maxFailedIndexes")


def default_job_spec(spec: Object) -> Object:
    """A Job's spec with its defaults; without completions and parallelism it is one Pod."""
    filled = spec
    if spec.get("completions") is None and spec.get("parallelism") is None:
        filled = fill(filled, {"completions": 1})
    unlimited = 2**31 - 1 if spec.get("backoffLimitPerIndex") is not None else 6
    replacement = "Failed" if spec.get("podFailurePolicy") is not None else "TerminatingOrFailed"
    filled = fill(
        filled,
        {
            "parallelism": 1,
            "backoffLimit": unlimited,
            "manualSelector": False,
            "completionMode": NON_INDEXED,
            "suspend": False,
            "podReplacementPolicy": replacement,
        },
    )
    if filled.get("podFailurePolicy") is not None:
        filled = change(filled, "podFailurePolicy", lambda policy: change_each(policy, "rules", _default_rule))
    return change(filled, "template", default_template)


def _default_rule(rule: Object) -> Object:
    return change_each(rule, "onPodConditions", lambda pattern: pattern if pattern.get("status") else {**pattern, "status": "True"})


def job_spec_errors(spec: Object, path: str) -> list[FieldError]:
    """Errors of a Job's spec at ``path``, but for the selector (see ValidateJobSpec)."""
    wrong = not_negative(spec, path, _COUNTS[:4])
    wrong += not_negative(spec, path, _COUNTS[4:5])
    wrong += _mode_errors(spec, path)
    if spec.get("podFailurePolicy") is not None:
        wrong += _failure_policy_errors(spec, f"{path}.podFailurePolicy")
        wrong += choice_errors(spec.get("podReplacementPolicy"), f"{path}.podReplacementPolicy", ("Failed",))
    else:
        wrong += choice_errors(spec.get("podReplacementPolicy"), f"{path}.podReplacementPolicy", ("Failed", "TerminatingOrFailed"))
    wrong += pod_template_errors(spec.get("template") or {}, f"{path}.template")
    return wrong + _restart_errors(spec, f"{path}.template.spec.restartPolicy")


def _mode_errors(spec: Object, path: str) -> list[FieldError]:
    mode = spec.get("completionMode")
    wrong = choice_errors(mode, f"{path}.completionMode", (NON_INDEXED, INDEXED))
    if mode == INDEXED:
        if spec.get("completions") is None:
            wrong.append(field.required(f"{path}.completions", "when completion mode is Indexed"))
        if (spec.get("parallelism") or 0) > INDEXED_PODS_MAX:
            detail = f"must be less than or equal to {INDEXED_PODS_MAX} when completion mode is Indexed"
            wrong.append(field.invalid(f"{path}.parallelism", spec["parallelism"], detail))
    elif spec.get("backoffLimitPerIndex") is not None:
        wrong.append(field.invalid(f"{path}.backoffLimitPerIndex", spec["backoffLimitPerIndex"], "requires indexed completion mode"))
    if mode == INDEXED and spec.get("maxFailedIndexes") is not None:
        wrong += _failed_index_errors(spec, path)
    if mode != INDEXED and spec.get("maxFailedIndexes") is not None:
        wrong.append(field.invalid(f"{path}.maxFailedIndexes", spec["maxFailedIndexes"], "requires indexed completion mode"))
    return wrong


def _failed_index_errors(spec: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    count, completions = spec["maxFailedIndexes"], spec.get("completions")
    if completions is not None and count > completions:
        wrong.append(field.invalid(f"{path}.maxFailedIndexes", count, "must be less than or equal to completions"))
    if count > INDEXED_PODS_MAX:
        wrong.append(field.invalid(f"{path}.maxFailedIndexes", count, f"must be less than or equal to {INDEXED_PODS_MAX}"))
    if spec.get("backoffLimitPerIndex") is None:
        wrong.append(field.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    return wrong


def _failure_policy_errors(spec: Object, path: str) -> list[FieldError]:
    rules = spec["podFailurePolicy"].get("rules") or ()
    wrong = [field.too_many(f"{path}.rules", len(rules), RULES_MAX)] if len(rules) > RULES_MAX else []
    for index, rule in enumerate(spec["podFailurePolicy"].get("rules") or ()):
        at, action = f"{path}.rules[{index}]", rule.get("action", "")
        if not action:
            wrong.append(field.required(f"{at}.action", f"valid values: {', '.join(field.quote(name) for name in ACTIONS)}"))
        elif action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            wrong.append(field.invalid(f"{at}.action", action, "requires the backoffLimitPerIndex to be set"))
        elif action not in ACTIONS:
            wrong.append(field.not_supported(f"{at}.action", action, ACTIONS))
        if rule.get("onExitCodes") is not None:
            wrong += _exit_code_errors(rule["onExitCodes"], spec, f"{at}.onExitCodes")
        for number, pattern in enumerate(rule.get("onPodConditions") or ()):
            place = f"{at}.onPodConditions[{number}]"
            wrong += text_errors(pattern.get("type", ""), f"{place}.type", names.check_qualified_name)
            wrong += choice_errors(pattern.get("status"), f"{place}.status", ("False", "True", "Unknown"), is_required=True)
        given = [rule.get("onExitCodes") is not None, bool(rule.get("onPodConditions"))]
        if all(given):
            wrong.append(field.invalid(at, field.OMITTED, "specifying both OnExitCodes and OnPodConditions is not supported"))
        elif not any(given):
            wrong.append(field.invalid(at, field.OMITTED, "specifying one of OnExitCodes and OnPodConditions is required"))
    return wrong


def _exit_code_errors(codes: Object, spec: Object, path: str) -> list[FieldError]:
    wrong = choice_errors(codes.get("operator"), f"{path}.operator", ("In", "NotIn"), is_required=True)
    values: Sequence[int] = codes.get("values") or ()
    if not values:
        wrong.append(field.invalid(f"{path}.values", list(values), "at least one value is required"))
    if len(values) > EXIT_CODES_MAX:
        wrong.append(field.too_many(f"{path}.values", len(values), EXIT_CODES_MAX))
    is_ordered = True
    for index, value in enumerate(values):
        if codes.get("operator") == "In" and value == 0:
            wrong.append(field.invalid(f"{path}.values[{index}]", value, "must not be 0 for the In operator"))
        if value in values[:index]:
            wrong.append(field.duplicate(f"{path}.values[{index}]", value))
        is_ordered = is_ordered and (index == 0 or values[index - 1] <= value)
    if not is_ordered:
        wrong.append(field.invalid(f"{path}.values", list(values), "must be ordered"))
    template = ((spec.get("template") or {}).get("spec")) or {}
    containers = [container.get("name") for container in [*(template.get("containers") or ()), *(template.get("initContainers") or ())]]
    name = codes.get("containerName")
    if name is not None and name not in containers:
        wrong.append(
            field.invalid(f"{path}.containerName", name, "must be one of the container or initContainer names in the pod template")
        )
    return wrong


def _restart_errors(spec: Object, path: str) -> list[FieldError]:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy", "")
    if policy in ("", "Always"):
        return [field.required(path, 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [field.not_supported(path, policy, ("OnFailure", "Never"))]
    if spec.get("podFailurePolicy") is not None and policy != "Never":
        return [field.invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


def job_selector_errors(spec: Object, path: str) -> list[FieldError]:
    """A selector that is missing or malformed."""
    selector = spec.get("selector")
    return [field.required(f"{path}.selector")] if selector is None else label_selector_errors(selector, f"{path}.selector")
