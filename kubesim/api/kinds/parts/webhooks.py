"""What validating and mutating webhook configurations share. Upstream: defaults and validation of pkg/apis/admissionregistration."""

from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column
from kubesim.api.kinds.parts.admission_rules import default_match, default_rules, version_errors, webhook_errors
from kubesim.api.kinds.parts.cells import size
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors
from kubesim.api.kinds.parts.shape import change, fill

Object = dict[str, Any]
DEFAULTS: Object = {"failurePolicy": "Fail", "timeoutSeconds": 10}
COLUMNS = (NAME, Column("Webhooks", "integer", size("webhooks")), AGE)


def default_webhook(webhook: Object) -> Object:
    """A webhook with the defaults of both kinds."""
    filled = default_rules(default_match(fill(webhook, DEFAULTS)), "rules")
    return change(filled, "clientConfig", lambda client: change(client, "service", lambda service: fill(service, {"port": 443})))


def configuration_errors(configuration: Object) -> list[FieldError]:
    """Errors of a configuration: each webhook, and names that come twice."""
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
