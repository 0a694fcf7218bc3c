"""Passwords as they are stored: salted and stretched. Upstream uses bcrypt; here PBKDF2, because it is in Python's library.

The cost is bcrypt's, a power of two, so that the flag means about the same.
"""

from hashlib import pbkdf2_hmac
from hmac import compare_digest
from typing import Protocol

COST = 10
COST_MIN, COST_MAX = 4, 31
ROUNDS_PER_UNIT = 100
SALT_BYTES = 16


class Random(Protocol):
    """Where salts come from."""

    def u64(self) -> int:
        """Return 64 random bits."""


class Passwords:
    """Hashes passwords at a cost; one that is no cost is the default."""

    def __init__(self, cost: int, random: Random) -> None:
        self._rounds = ROUNDS_PER_UNIT << (cost if COST_MIN <= cost <= COST_MAX else COST)
        self._random = random

    def hash_of(self, password: str) -> str:
        """Return what to store for a password: rounds, salt and hash."""
        salt = b"".join(self._random.u64().to_bytes(8, "big") for _ in range(SALT_BYTES // 8))
        return f"{self._rounds}${salt.hex()}${_stretch(password, salt, self._rounds).hex()}"


def matches(password: str, stored: str) -> bool:
    """Whether a password is the one that was stored."""
    rounds, _, rest = stored.partition("$")
    salt, _, expected = rest.partition("$")
    return bool(expected) and compare_digest(_stretch(password, bytes.fromhex(salt), int(rounds)).hex(), expected)


def _stretch(password: str, salt: bytes, rounds: int) -> bytes:
    return pbkdf2_hmac("sha256", password.encode("utf-8", "surrogateescape"), salt, rounds)
