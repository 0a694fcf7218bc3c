"""Conversion by a webhook: the ConversionReview that is asked, and what its answer must be. Pure.

Upstream: apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kubesim.api.field import quote

Object = dict[str, Any]
REVIEW, GROUP = "ConversionReview", "apiextensions.k8s.io"
VERSIONS = ("v1", "v1beta1")
TIMEOUT_SECONDS = 30
KEPT = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
        "ownerReferences", "finalizers", "managedFields", "generateName")  # fmt: skip


class ConversionFailed(Exception):
    """Why there is no converted object; upstream's words."""


def client_of(definition: Object) -> Mapping[str, Any] | None:
    """The ``clientConfig`` of a definition's webhook, None when its versions are the same but for their names."""
    conversion = definition["spec"].get("conversion") or {}
    if conversion.get("strategy") != "Webhook":
        return None
    found: Mapping[str, Any] = (conversion.get("webhook") or {}).get("clientConfig") or {}
    return found


def review_of(definition: Object, objects: Sequence[Object], api_version: str, uid: str) -> Object:
    """The question, in the first version of reviews that both know."""
    spoken = (definition["spec"]["conversion"].get("webhook") or {}).get("conversionReviewVersions") or VERSIONS
    version = next((each for each in spoken if each in VERSIONS), "v1")
    request = {"uid": uid, "desiredAPIVersion": api_version, "objects": list(objects)}
    return {"kind": REVIEW, "apiVersion": f"{GROUP}/{version}", "request": request}


def converted(review: Object, answer: Object) -> list[Object]:
    """The objects of an answer, with the metadata that a conversion may not change. Raises ConversionFailed."""
    request, response = review["request"], answer.get("response")
    if not isinstance(response, dict):
        raise ConversionFailed("no response provided")
    if (answer.get("apiVersion"), answer.get("kind")) != (review["apiVersion"], REVIEW):
        group, _, version = str(answer.get("apiVersion", "")).rpartition("/")
        got = f"{group}/{version}, Kind={answer.get('kind', '')}"
        raise ConversionFailed(f"expected webhook response of {review['apiVersion']}, Kind={REVIEW}, got {got}")
    if response.get("uid", "") != request["uid"]:
        raise ConversionFailed(f"expected response.uid={quote(request['uid'])}, got {quote(response.get('uid', ''))}")
    result = response.get("result") or {}
    if result.get("status") != "Success":
        why = f"response.result.status was '{result.get('status', '')}', not 'Success'"
        raise ConversionFailed(result.get("message") or why)
    objects = response.get("convertedObjects") or []
    if len(objects) != len(request["objects"]):
        count = len(request["objects"])
        raise ConversionFailed(f"webhook returned {len(objects)} objects, expected {count}")
    pairs = zip(request["objects"], objects)
    return [_checked(given, obj, request["desiredAPIVersion"], index) for index, (given, obj) in enumerate(pairs)]


def _checked(given: Object, obj: Any, api_version: str, index: int) -> Object:
    place = f"invalid converted object at index {index}"
    if not isinstance(obj, dict):
        raise ConversionFailed(f"{place}: expected an object")
    if obj.get("apiVersion") != api_version:
        raise ConversionFailed(f"{place}: invalid groupVersion (expected {api_version}, received {obj.get('apiVersion', '')})")
    if obj.get("kind") != given.get("kind"):
        raise ConversionFailed(f"{place}: invalid kind (expected {given.get('kind')}, received {obj.get('kind', '')})")
    metadata, before = obj.get("metadata"), given.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise ConversionFailed(f"{place}: invalid metadata of type {type(metadata).__name__} in converted object")
    for name in ("name", "namespace", "uid"):
        if metadata.get(name, "") != before.get(name, ""):
            raise ConversionFailed(f"{place}: metadata.{name} mismatch: {metadata.get(name, '')} != {before.get(name, '')}")
    kept = {name: before[name] for name in KEPT if name in before}
    changed = {name: metadata[name] for name in ("labels", "annotations") if metadata.get(name)}
    return {**obj, "metadata": {**kept, **changed}}
