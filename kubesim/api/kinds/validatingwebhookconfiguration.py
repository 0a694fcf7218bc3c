"""ValidatingWebhookConfiguration. Upstream: pkg/apis/admissionregistration/validation/validation.go and its defaults."""

from typing import Any

from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.metadata import metadata_update_errors
from kubesim.api.kinds.parts.shape import change_each
from kubesim.api.kinds.parts.webhooks import COLUMNS, configuration_errors, default_webhook

Object = dict[str, Any]


def _default(configuration: Object) -> Object:
    return change_each(configuration, "webhooks", default_webhook)


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingWebhookConfiguration",
    plural="validatingwebhookconfigurations",
    namespaced=False,
    categories=("api-extensions",),
    schema="io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
    default=_default,
    validate=configuration_errors,
    validate_update=metadata_update_errors,
    columns=COLUMNS,
    allow_unconditional_update=False,
)
