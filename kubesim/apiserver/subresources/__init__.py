"""The subresources: other ways to read or write a part of an object, each a table of verbs."""

from kubesim.apiserver.subresources import binding, eviction, finalize, scale, status

VERBS = {
    ("get", "status"): status.get_status,
    ("update", "status"): status.update_status,
    ("patch", "status"): status.patch_status,
    ("get", "scale"): scale.get_scale,
    ("update", "scale"): scale.update_scale,
    ("patch", "scale"): scale.patch_scale,
    ("create", "binding"): binding.bind,
    ("create", "eviction"): eviction.evict,
    ("update", "finalize"): finalize.finalize,
}
