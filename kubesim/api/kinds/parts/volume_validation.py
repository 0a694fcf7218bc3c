"""Validation of the volumes of a Pod. Upstream: ValidateVolumes and validateVolumeSource."""

from collections.abc import Callable, Sequence
from typing import Any

from kubesim.api import field, names, quantity
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.checks import choice_errors, local_path_errors, required_text_errors
from kubesim.api.kinds.parts.env_validation import FILE_PATHS, field_ref_errors, resource_ref_errors

Object = dict[str, Any]
HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
MODE_WRONG = "must be a number between 0 and 0777 (octal), both inclusive"
# Upstream's order: the first source that is set is the volume's, every further one is forbidden.
_ORDER = (
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "azureFile",
    "configMap",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
)


def volumes_errors(volumes: Sequence[Object], path: str) -> tuple[list[FieldError], dict[str, Object]]:
    """Errors of the volumes at ``path``, and the good ones by name: a mount of a bad one is an error too."""
    wrong: list[FieldError] = []
    good: dict[str, Object] = {}
    for index, volume in enumerate(volumes):
        at, name = f"{path}[{index}]", volume.get("name", "")
        errors = _source_errors(volume, at) + required_text_errors(name, f"{at}.name", names.check_dns_label)
        if name in good:
            errors.append(field.duplicate(f"{at}.name", name))
        if errors:
            wrong += errors
        else:
            good[name] = volume
    return wrong, good


def _source_errors(volume: Object, path: str) -> list[FieldError]:
    found = [name for name in _ORDER if volume.get(name) is not None]
    if not found:
        return [field.required(path, "must specify a volume type")]
    wrong = volume_source_errors(found[0], volume[found[0]], f"{path}.{found[0]}")
    return wrong + [field.forbidden(f"{path}.{name}", "may not specify more than 1 volume type") for name in found[1:]]


def volume_source_errors(name: str, source: Object, path: str) -> list[FieldError]:
    """Errors of one source, such as ``hostPath``; none for a source without checks."""
    check = _CHECKS.get(name)
    return check(source, path) if check else []


def _mode_errors(source: Object, path: str, name: str = "defaultMode") -> list[FieldError]:
    mode = source.get(name)
    return [] if mode is None or 0 <= mode <= 0o777 else [field.invalid(f"{path}.{name}", mode, MODE_WRONG)]


def _items_errors(items: Sequence[Object], path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    for index, item in enumerate(items):
        at = f"{path}[{index}]"
        if not item.get("key"):
            wrong.append(field.required(f"{at}.key"))
        wrong += _file_errors(item, at) + _mode_errors(item, at, "mode")
    return wrong


def _file_errors(item: Object, path: str) -> list[FieldError]:
    if not item.get("path"):
        return [field.required(f"{path}.path")]
    return local_path_errors(item["path"], f"{path}.path")


def _empty_dir_errors(source: Object, path: str) -> list[FieldError]:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.parse(limit).nanos < 0:
        return [field.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _host_path_errors(source: Object, path: str) -> list[FieldError]:
    if not source.get("path"):
        return [field.required(f"{path}.path")]
    wrong = [field.invalid(f"{path}.path", source["path"], "must not contain '..'")] if ".." in source["path"].split("/") else []
    return wrong + choice_errors(source.get("type"), f"{path}.type", HOST_PATH_TYPES)


def _secret_errors(source: Object, path: str) -> list[FieldError]:
    wrong = [] if source.get("secretName") else [field.required(f"{path}.secretName")]
    return wrong + _mode_errors(source, path) + _items_errors(source.get("items") or (), f"{path}.items")


def _config_map_errors(source: Object, path: str) -> list[FieldError]:
    wrong = [] if source.get("name") else [field.required(f"{path}.name")]
    return wrong + _mode_errors(source, path) + _items_errors(source.get("items") or (), f"{path}.items")


def _claim_errors(source: Object, path: str) -> list[FieldError]:
    return [] if source.get("claimName") else [field.required(f"{path}.claimName")]


def _downward_errors(source: Object, path: str) -> list[FieldError]:
    wrong = _mode_errors(source, path)
    for index, item in enumerate(source.get("items") or ()):
        wrong += _downward_file_errors(item, path, index)
    return wrong


def _downward_file_errors(item: Object, path: str, index: int) -> list[FieldError]:
    """Upstream names the fields of an item without its index."""
    wrong = _file_errors(item, path)
    if item.get("fieldRef") is not None:
        wrong += field_ref_errors(item["fieldRef"], f"{path}.fieldRef", FILE_PATHS)
        if item.get("resourceFieldRef") is not None:
            wrong.append(field.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
    elif item.get("resourceFieldRef") is not None:
        wrong += resource_ref_errors(item["resourceFieldRef"], f"{path}.resourceFieldRef", needs_container=True)
    else:
        wrong.append(field.required(path, "one of fieldRef and resourceFieldRef is required"))
    return wrong + _mode_errors(item, path, "mode")


def _projected_errors(source: Object, path: str) -> list[FieldError]:
    wrong = _mode_errors(source, path)
    for index, part in enumerate(source.get("sources") or ()):
        wrong += _projection_errors(part, f"{path}.sources[{index}]")
    return wrong


_PROJECTIONS = ("secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate")


def _projection_errors(part: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    found = [name for name in _PROJECTIONS if part.get(name) is not None]
    wrong += [field.forbidden(path, "may not specify more than 1 volume type")] if len(found) > 1 else []
    for name in found[:1]:
        at, value = f"{path}.{name}", part[name]
        if name in ("secret", "configMap"):
            wrong += [] if value.get("name") else [field.required(f"{at}.name")]
            wrong += _items_errors(value.get("items") or (), f"{at}.items")
        elif name == "downwardAPI":
            for index, item in enumerate(value.get("items") or ()):
                wrong += _downward_file_errors(item, at, index)
        elif name == "serviceAccountToken":
            wrong += _token_errors(value, at)
    return wrong


def _token_errors(token: Object, path: str) -> list[FieldError]:
    seconds = token.get("expirationSeconds", 3600)
    wrong = []
    if seconds < 600:
        wrong.append(field.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    elif seconds > 1 << 32:
        wrong.append(field.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
    return wrong + _file_errors(token, path)


def _ephemeral_errors(source: Object, path: str) -> list[FieldError]:
    template = source.get("volumeClaimTemplate")
    return [field.required(f"{path}.volumeClaimTemplate")] if template is None else []


def _nfs_errors(source: Object, path: str) -> list[FieldError]:
    wrong = [field.required(f"{path}.{name}") for name in ("server", "path") if not source.get(name)]
    if source.get("path") and not source["path"].startswith("/"):
        wrong.append(field.invalid(f"{path}.path", source["path"], "must be an absolute path"))
    return wrong


def _csi_errors(source: Object, path: str) -> list[FieldError]:
    return [] if source.get("driver") else [field.required(f"{path}.driver")]


_CHECKS: dict[str, Callable[[Object, str], list[FieldError]]] = {
    "emptyDir": _empty_dir_errors,
    "hostPath": _host_path_errors,
    "secret": _secret_errors,
    "configMap": _config_map_errors,
    "persistentVolumeClaim": _claim_errors,
    "downwardAPI": _downward_errors,
    "projected": _projected_errors,
    "ephemeral": _ephemeral_errors,
    "nfs": _nfs_errors,
    "csi": _csi_errors,
}
