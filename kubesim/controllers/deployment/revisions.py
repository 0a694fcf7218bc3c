"""Revisions of a Deployment: annotations, history, the making of a new ReplicaSet, clean-up of old ones, rollback.

Upstream: pkg/controller/deployment/util/deployment_util.go (SetNewReplicaSetAnnotations, MaxRevision), sync.go (getNewReplicaSet,
cleanupDeployment), kubectl's rollback.go.
"""

from collections.abc import Iterable, Sequence

from kubesim.api.meta import controller_reference
from kubesim.apiserver.requests import Object, Request, delete, patch
from kubesim.controllers.deployment.rollout import (
    DEPLOYMENTS,
    HASH_LABEL,
    NO_LIMIT,
    REPLICA_SETS,
    by_age,
    equal_ignoring_hash,
    max_surge,
    replicas_of,
    status_of,
)
from kubesim.controllers.template_hash import template_hash

PREFIX = "deployment.kubernetes.io/"
REVISION, HISTORY = f"{PREFIX}revision", f"{PREFIX}revision-history"
DESIRED, MAX = f"{PREFIX}desired-replicas", f"{PREFIX}max-replicas"
NOT_COPIED = frozenset(
    ("kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MAX, "deprecated.deployment.rollback.to")
)
HISTORY_LENGTH_MAX = 2000


def annotations_of(obj: Object) -> dict[str, str]:
    """The annotations; read only."""
    return obj["metadata"].get("annotations") or {}


def revision_of(obj: Object) -> int:
    """The revision annotation; 0 when it is absent or no number."""
    text = annotations_of(obj).get(REVISION, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def next_revision(old: Iterable[Object]) -> int:
    """One more than the highest revision of the old ReplicaSets."""
    return max((revision_of(replica_set) for replica_set in old), default=0) + 1


def int_annotation(replica_set: Object, name: str) -> int | None:
    """An annotation as a number, or None."""
    text = annotations_of(replica_set).get(name, "")
    return int(text) if text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() else None


def with_annotations(obj: Object, annotations: dict[str, str]) -> Object:
    """The object with other annotations."""
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def replicas_annotations(deployment: Object) -> dict[str, str]:
    """What proportional scaling wants to remember: the desired replicas, and with surge."""
    desired = replicas_of(deployment)
    return {DESIRED: str(desired), MAX: str(desired + max_surge(deployment))}


def synced_annotations(deployment: Object, known: dict[str, str], revision: int) -> dict[str, str]:
    """The annotations a new ReplicaSet should have: the Deployment's, and its revision with the history of former ones."""
    copied = {key: value for key, value in annotations_of(deployment).items() if key not in NOT_COPIED}
    annotations = {**known, **copied}
    old_text = known.get(REVISION, "")
    if old_text and not (old_text.isascii() and old_text.isdigit()):
        return annotations  # not ours to repair
    if int(old_text or 0) < revision:
        annotations[REVISION] = str(revision)
        if old_text:
            history = _extended_history(known.get(HISTORY, ""), old_text)
            if history is not None:
                annotations[HISTORY] = history
    return annotations


def _extended_history(history: str, revision: str) -> str | None:
    """The history with one revision more, the oldest dropped beyond 2000 characters; None when it cannot fit."""
    revisions = history.split(",") if history else []
    length = len(history) + len(revision) + 1 if history else len(revision)
    while length > HISTORY_LENGTH_MAX and revisions:
        length -= len(revisions.pop(0)) + 1
    return ",".join([*revisions, revision]) if length <= HISTORY_LENGTH_MAX else None


def new_replica_set(deployment: Object, revision: int) -> Object:
    """The ReplicaSet of the present template, without its replicas: hash in name, labels and selector, owner, annotations."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    template = spec["template"]
    hash_ = template_hash(template, (deployment.get("status") or {}).get("collisionCount"))
    template_metadata = template.get("metadata") or {}
    labels = {**(template_metadata.get("labels") or {}), HASH_LABEL: hash_}
    selector = {**spec["selector"], "matchLabels": {**(spec["selector"].get("matchLabels") or {}), HASH_LABEL: hash_}}
    rs_spec: Object = {"selector": selector, "template": {**template, "metadata": {**template_metadata, "labels": labels}}}
    if spec.get("minReadySeconds"):
        rs_spec["minReadySeconds"] = spec["minReadySeconds"]
    return {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": {
            "name": f"{metadata['name']}-{hash_}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": {**synced_annotations(deployment, {}, revision), **replicas_annotations(deployment)},
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": rs_spec,
    }


def history_to_delete(deployment: Object, old: Sequence[Object]) -> list[Request]:
    """Delete requests for the lowest revisions beyond ``revisionHistoryLimit`` that have no Pods left."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None or limit == NO_LIMIT:
        return []
    alive = sorted(
        (replica_set for replica_set in old if not replica_set["metadata"].get("deletionTimestamp")),
        key=lambda replica_set: (revision_of(replica_set), by_age(replica_set)),
    )
    return [
        delete(REPLICA_SETS, replica_set["metadata"]["namespace"], replica_set["metadata"]["name"])
        for replica_set in alive[: max(len(alive) - limit, 0)]
        if status_of(replica_set, "replicas") == 0
        and replicas_of(replica_set) == 0
        and replica_set["metadata"].get("generation", 0) <= status_of(replica_set, "observedGeneration")
    ]


def rollback_request(deployment: Object, replica_sets: Iterable[Object], to_revision: int = 0) -> Request | None:
    """What ``kubectl rollout undo`` sends: the template and annotations of a former revision (0: the last one before).

    None when the template is that one already. Raises ValueError when the revision is not in the history.
    """
    former = _revision(sorted(replica_sets, key=revision_of), to_revision)
    if former is None:
        raise ValueError(f"unable to find specified revision {to_revision} in history" if to_revision else "no rollout history found")
    template = former["spec"]["template"]
    if equal_ignoring_hash(template, deployment["spec"]["template"]):
        return None
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    kept = {key: value for key, value in annotations_of(deployment).items() if key in NOT_COPIED}
    annotations = {**kept, **{key: value for key, value in annotations_of(former).items() if key not in NOT_COPIED}}
    body = [
        {"op": "replace", "path": "/spec/template", "value": {**template, "metadata": {**metadata, "labels": labels}}},
        {"op": "replace", "path": "/metadata/annotations", "value": annotations},
    ]
    return patch(DEPLOYMENTS, deployment["metadata"]["namespace"], deployment["metadata"]["name"], body, "json")


def _revision(replica_sets: Sequence[Object], to_revision: int) -> Object | None:
    if to_revision:
        return next((replica_set for replica_set in replica_sets if revision_of(replica_set) == to_revision), None)
    return replica_sets[-2] if len(replica_sets) > 1 else None
