"""The subresources: other ways to read or write a part of an object, each a table of verbs."""

from kubesim.apiserver.subresources import approval, binding, eviction, finalize, pods, scale, status

VERBS = {
    ("get", "status"): status.get_status,
    ("update", "status"): status.update_status,
    ("patch", "status"): status.patch_status,
    ("get", "scale"): scale.get_scale,
    ("update", "scale"): scale.update_scale,
    ("patch", "scale"): scale.patch_scale,
    ("get", "ephemeralcontainers"): status.get_status,
    ("update", "ephemeralcontainers"): pods.update_ephemeral_containers,
    ("patch", "ephemeralcontainers"): pods.patch_ephemeral_containers,
    ("get", "resize"): status.get_status,
    ("update", "resize"): pods.update_resize,
    ("patch", "resize"): pods.patch_resize,
    ("get", "approval"): status.get_status,
    ("update", "approval"): approval.update_approval,
    ("patch", "approval"): approval.patch_approval,
    ("create", "binding"): binding.bind,
    ("create", "eviction"): eviction.evict,
    ("update", "finalize"): finalize.finalize,
}
