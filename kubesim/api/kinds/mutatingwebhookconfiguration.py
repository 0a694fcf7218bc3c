"""MutatingWebhookConfiguration. Upstream: pkg/apis/admissionregistration/validation/validation.go and its defaults."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.admission_rules import default_match, default_rules, version_errors, webhook_errors
from kubesim.api.kinds.parts.cells import size
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change, change_each, fill

Object = dict[str, Any]
_DEFAULTS: Object = {"failurePolicy": "Fail", "timeoutSeconds": 10, "reinvocationPolicy": "Never"}


def _default(configuration: Object) -> Object:
    return change_each(configuration, "webhooks", _default_webhook)


def _default_webhook(webhook: Object) -> Object:
    filled = default_rules(default_match(fill(webhook, _DEFAULTS)), "rules")
    return change(filled, "clientConfig", lambda client: change(client, "service", lambda service: fill(service, {"port": 443})))


def _validate(configuration: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(configuration, namespaced=False)
    seen: set[str] = set()
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        path, name = f"webhooks[{index}]", webhook.get("name", "")
        wrong += webhook_errors(webhook, path)
        wrong += version_errors(webhook.get("admissionReviewVersions") or (), f"{path}.admissionReviewVersions")
        if name in seen:
            wrong.append(field.duplicate(f"{path}.name", name))
        seen.add(name)
    return wrong


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingWebhookConfiguration",
    plural="mutatingwebhookconfigurations",
    namespaced=False,
    categories=("api-extensions",),
    schema="io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
    default=_default,
    validate=_validate,
    validate_update=metadata_update_errors,
    columns=(NAME, Column("Webhooks", "integer", size("webhooks")), AGE),
    allow_unconditional_update=False,
)
