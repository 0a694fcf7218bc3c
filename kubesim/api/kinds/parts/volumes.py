"""Defaults of volumes: a volume without a source is an emptyDir. Upstream: pkg/apis/core/v1/defaults.go."""

from typing import Any

from kubesim.api.kinds.parts.shape import change, change_each, fill

Object = dict[str, Any]
_MODE = {"defaultMode": 420}
_FIELD_REF = {"apiVersion": "v1"}
_TOKEN = {"expirationSeconds": 3600}
_PLAIN: dict[str, Object] = {
    "secret": _MODE,
    "configMap": _MODE,
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "kind": "Shared", "fsType": "ext4", "readOnly": False},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def default_volume(volume: Object) -> Object:
    """A volume of a Pod with its defaults."""
    filled = volume
    if not any(source is not None for name, source in volume.items() if name != "name"):
        return {**volume, "emptyDir": {}}
    for name, defaults in _PLAIN.items():
        if name in filled:
            filled = change(filled, name, lambda source, defaults=defaults: fill(source, defaults))  # type: ignore[misc]
    if "downwardAPI" in filled:
        filled = change(filled, "downwardAPI", lambda source: _default_items(fill(source, _MODE)))
    if "projected" in filled:
        filled = change(filled, "projected", _default_projected)
    if "ephemeral" in filled:
        filled = change(filled, "ephemeral", lambda source: change(source, "volumeClaimTemplate", default_claim_template))
    return change(filled, "image", _default_image)


def _default_items(source: Object) -> Object:
    return change_each(source, "items", lambda item: change(item, "fieldRef", lambda reference: fill(reference, _FIELD_REF)))


def _default_projected(projected: Object) -> Object:
    return change_each(fill(projected, _MODE), "sources", _default_source)


def _default_source(source: Object) -> Object:
    filled = change(source, "serviceAccountToken", lambda token: fill(token, _TOKEN))
    return change(filled, "downwardAPI", _default_items)


def _default_image(image: Object) -> Object:
    reference = image.get("reference", "")
    latest = "@" not in reference and (reference.rpartition("/")[2].partition(":")[2] or "latest") == "latest"
    return fill(image, {"pullPolicy": "Always" if latest else "IfNotPresent"})


def default_claim_template(template: Object) -> Object:
    """A volume claim template inside another object: its spec is a claim's."""
    return change(template, "spec", lambda spec: fill(spec, {"volumeMode": "Filesystem"}))
