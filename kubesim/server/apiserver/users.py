"""Who asks: a user with groups, and how one is told from a token, a certificate or nothing at all.

Upstream: apiserver/pkg/authentication (bearertoken, tokenfile, x509, anonymous, group), serviceaccount and filters/impersonation.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubesim.api.errors import ApiError, bad_request

MASTERS, AUTHENTICATED, UNAUTHENTICATED = "system:masters", "system:authenticated", "system:unauthenticated"
ANONYMOUS = "system:anonymous"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
EXTRA_SPACE = "the provided Authorization header contains extra space before the bearer token, and is ignored"


@dataclass(frozen=True, slots=True)
class User:
    """A user as authenticated: its groups include the one that every authenticated user has."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def info(self) -> dict[str, object]:
        """The UserInfo of reviews."""
        info: dict[str, object] = {"username": self.name}
        if self.uid:
            info["uid"] = self.uid
        if self.groups:
            info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = {key: list(values) for key, values in sorted(self.extra.items())}
        return info


NOBODY = User(ANONYMOUS, (UNAUTHENTICATED,))


def authenticated(user: User) -> User:
    """The user with the group of all authenticated users."""
    if AUTHENTICATED in user.groups or UNAUTHENTICATED in user.groups:
        return user
    return User(user.name, (*user.groups, AUTHENTICATED), user.uid, user.extra)


def unauthorized() -> ApiError:
    """401."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def read_token_file(path: str | Path) -> dict[str, User]:
    """The users of a static token file: lines of ``token,user,uid[,"group1,group2"]``. Raises ValueError that names file and line."""
    users: dict[str, User] = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.reader(file, skipinitialspace=True), 1):
                if not row or row[0].startswith("#"):
                    continue
                if len(row) < 3 or not row[0]:
                    raise ValueError(f"--token-auth-file {path}, line {number}: expected token,user,uid and optionally groups")
                groups = tuple(group.strip() for group in row[3].split(",") if group.strip()) if len(row) > 3 else ()
                users[row[0]] = authenticated(User(row[1], groups, row[2]))
    except OSError as error:
        raise ValueError(f"--token-auth-file {path}: {error.strerror}") from None
    return users


def user_of_certificate(certificate: Mapping[str, object] | None) -> User | None:
    """The user of a verified client certificate: its common name, and its organizations as groups."""
    if not certificate:
        return None
    name, groups = "", []
    subject: Sequence[Sequence[tuple[str, str]]] = certificate.get("subject", ())  # type: ignore[assignment]
    for relative in subject:
        for key, value in relative:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    return authenticated(User(name, tuple(groups))) if name else None


class Authenticator:
    """Turns what a request carries into a user. ``tokens`` are static; ``service_account`` knows signed ones (None: not one of ours)."""

    def __init__(
        self, tokens: Mapping[str, User], service_account: Callable[[str], User | None] | None = None, anonymous: bool = True
    ) -> None:
        self.tokens = dict(tokens)
        self.service_account = service_account
        self.anonymous = anonymous

    def authenticate(self, authorization: str, certificate: Mapping[str, object] | None, warn: Callable[[str], object]) -> User:
        """The user of a request. Raises ApiError 401 for a token that nobody knows."""
        user = user_of_certificate(certificate)
        if user is not None:
            return user
        token = self._bearer(authorization, warn)
        if token:
            found = self.user_of_token(token)
            if found is None:
                raise unauthorized()
            return found
        if not self.anonymous:
            raise unauthorized()
        return NOBODY

    def user_of_token(self, token: str) -> User | None:
        """The user of a bearer token, or None."""
        found = self.tokens.get(token)
        if found is None and self.service_account is not None:
            found = self.service_account(token)
        return found

    @staticmethod
    def _bearer(authorization: str, warn: Callable[[str], object]) -> str:
        parts = authorization.strip().split(" ")
        if len(parts) < 2 or parts[0].lower() != "bearer":
            return ""
        if not parts[1]:
            warn(EXTRA_SPACE)
            return ""
        return parts[1]


def impersonated(headers: Sequence[tuple[str, str]]) -> User | None:
    """The user that a request wants to be, or None; ``headers`` in lower case. Raises 400 for groups without a user."""
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for key, value in headers:
        if not key.startswith("impersonate-"):
            continue
        if key == "impersonate-user":
            name = value
        elif key == "impersonate-uid":
            uid = value
        elif key == "impersonate-group":
            groups.append(value)
        elif key.startswith("impersonate-extra-"):
            extra.setdefault(key.removeprefix("impersonate-extra-").lower(), []).append(value)
    if not name:
        if groups or extra or uid:
            shown = ", ".join(f'"{group}"' for group in groups)
            shown_groups = f"[]string{{{shown}}}" if groups else "[]string(nil)"
            raise bad_request(
                f'requested &user.DefaultInfo{{Name:"", UID:"{uid}", Groups:{shown_groups}, Extra:map[string][]string(nil)}} '
                "without impersonating a user name"
            )
        return None
    if not groups and name.startswith(SERVICE_ACCOUNT_PREFIX):
        namespace = name.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")[0]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    if name == ANONYMOUS:
        return User(name, (*groups, UNAUTHENTICATED) if UNAUTHENTICATED not in groups else tuple(groups), uid, extra)
    return authenticated(User(name, tuple(groups), uid, extra))
