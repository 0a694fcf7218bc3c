"""Simple tokens: who is logged in on one member. A token is some letters and the index of the entry that gave it out.

Tokens are not in the log: every member gives out the same ones when it applies the login, and each keeps its own time of when they end.
Upstream: etcd ``server/auth/simple_token.go``.
"""

TOKEN_TTL_NS = 300 * 1_000_000_000
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
PREFIX_LENGTH = 16


class Tokens:
    """Tokens by their text, each with its user and the time when it ends unless it is used."""

    __slots__ = ("_ends_ns", "_users", "ttl_ns")

    def __init__(self, ttl_ns: int = TOKEN_TTL_NS) -> None:
        self.ttl_ns = ttl_ns
        self._users: dict[str, str] = {}
        self._ends_ns: dict[str, int] = {}  # in order of the ends: a token that is used moves to the end

    def __len__(self) -> int:
        return len(self._users)

    def give(self, token: str, user: str, now_ns: int) -> None:
        """Let a token stand for a user."""
        self._drop_ended(now_ns)
        self._users[token] = user
        self._ends_ns[token] = now_ns + self.ttl_ns

    def user_of(self, token: str, now_ns: int) -> str | None:
        """Return whose token it is, None: nobody's (any more). It is good for a whole TTL again."""
        self._drop_ended(now_ns)
        user = self._users.get(token)
        if user is not None:
            del self._ends_ns[token]
            self._ends_ns[token] = now_ns + self.ttl_ns
        return user

    def log_out(self, user: str) -> None:
        """Void the tokens of a user, those of all for ""."""
        for token in [token for token, owner in self._users.items() if owner == user or not user]:
            del self._users[token], self._ends_ns[token]

    def _drop_ended(self, now_ns: int) -> None:
        while self._ends_ns:
            token = next(iter(self._ends_ns))
            if self._ends_ns[token] > now_ns:
                return
            del self._ends_ns[token], self._users[token]
