"""The pod-template-hash of a template: FNV-1a over its canonical form, in upstream's alphabet without vowels.

The hash function, the collision count's bytes and the encoding are upstream's; the canonical form is not (ours is sorted JSON, upstream's
is Go's dump of the structure), so equal templates have equal hashes, but other ones than on a real cluster.

Upstream: pkg/controller/controller_utils.go (ComputeHash), pkg/util/hash, apimachinery/pkg/util/rand (SafeEncodeString).
"""

import orjson

from kubesim.apiserver.requests import Object

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
FNV_OFFSET, FNV_PRIME = 2166136261, 16777619


def template_hash(template: Object, collision_count: int | None = None) -> str:
    """The hash of a Pod template, 8 to 10 letters; another one for every ``collision_count``. O(size of the template)."""
    data = orjson.dumps(template, option=orjson.OPT_SORT_KEYS)
    if collision_count is not None:
        data += collision_count.to_bytes(8, "little")
    return safe_encode(str(fnv32a(data)))


def fnv32a(data: bytes) -> int:
    """FNV-1a, 32 bits."""
    value = FNV_OFFSET
    for byte in data:
        value = (value ^ byte) * FNV_PRIME & 0xFFFFFFFF
    return value


def safe_encode(text: str) -> str:
    """Replace every character by one that cannot spell a word."""
    return "".join(SAFE_ALPHABET[ord(character) % len(SAFE_ALPHABET)] for character in text)
