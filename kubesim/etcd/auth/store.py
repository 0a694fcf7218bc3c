"""Users, roles and permissions: the part of etcd's state that says who may do what. Replicated; passwords come in hashed.

Every change makes a new revision of its own (``revision``, begins at 1), and a request that was checked against an older one is refused.
Upstream: etcd ``server/auth/store.go``.
"""

from bisect import bisect_left, insort
from typing import NamedTuple

from kubesim.etcd.auth.errors import (
    AuthNotEnabled,
    InvalidManagement,
    LoginFailed,
    NoPasswordUser,
    OldAuthRevision,
    PermissionDenied,
    PermissionNotGiven,
    PermissionNotGranted,
    RoleEmpty,
    RoleExists,
    RoleNotFound,
    RoleNotGranted,
    RootRoleMissing,
    RootUserMissing,
    UserEmpty,
    UserExists,
    UserNotFound,
)
from kubesim.etcd.auth.intervals import Union, interval_of

ROOT = "root"
READ, WRITE, READWRITE = "READ", "WRITE", "READWRITE"


class Permission(NamedTuple):
    """What a role may do with a range: READ, WRITE or READWRITE."""

    key: bytes
    range_end: bytes
    kind: str


class User(NamedTuple):
    """A user; ``roles`` are sorted."""

    name: str
    password_hash: str = ""
    roles: tuple[str, ...] = ()
    has_no_password: bool = False


class Caller(NamedTuple):
    """Who asks, and the revision at which that was known; nobody is ("", 0)."""

    name: str = ""
    revision: int = 0


class AuthDump(NamedTuple):
    """Everything in an AuthStore."""

    enabled: bool
    revision: int
    users: tuple[User, ...]
    roles: tuple[tuple[str, tuple[Permission, ...]], ...]


class AuthStore:
    """The users and roles of a cluster."""

    __slots__ = ("_ranges", "enabled", "logouts", "revision", "roles", "users")

    def __init__(self) -> None:
        self.enabled = False
        self.revision = 1
        self.users: dict[str, User] = {}
        self.roles: dict[str, list[Permission]] = {}
        self.logouts: list[str] = []  # whose tokens are void, "" for all: whoever keeps the tokens takes them
        self._ranges: dict[str, tuple[Union, Union]] = {}  # user -> what it may read and write

    # -- on and off

    def enable(self) -> None:
        """Require a login from now on. Raises RootUserMissing, RootRoleMissing."""
        if self.enabled:
            return
        root = self.users.get(ROOT)
        if root is None:
            raise RootUserMissing
        if ROOT not in root.roles:
            raise RootRoleMissing
        self.enabled = True

    def disable(self) -> None:
        """Require no login any more; all tokens are void."""
        if self.enabled:
            self.enabled = False
            self.logouts.append("")
            self._changed()

    def _changed(self) -> None:
        self.revision += 1
        self._ranges.clear()

    # -- users

    def user(self, name: str) -> User:
        """Return a user. Raises UserNotFound."""
        user = self.users.get(name)
        if user is None:
            raise UserNotFound
        return user

    def add_user(self, name: str, password_hash: str, has_no_password: bool = False) -> None:
        """Add a user. Raises UserEmpty, UserExists."""
        if not name:
            raise UserEmpty
        if name in self.users:
            raise UserExists
        self.users[name] = User(name, "" if has_no_password else password_hash, (), has_no_password)
        self._changed()

    def delete_user(self, name: str) -> None:
        """Delete a user. Raises InvalidManagement (root), UserNotFound."""
        if self.enabled and name == ROOT:
            raise InvalidManagement
        self.user(name)
        del self.users[name]
        self.logouts.append(name)
        self._changed()

    def change_password(self, name: str, password_hash: str) -> None:
        """Change a user's password; it has to log in again. Raises UserNotFound."""
        user = self.user(name)
        self.users[name] = user._replace(password_hash="" if user.has_no_password else password_hash)
        self.logouts.append(name)
        self._changed()

    def grant_role(self, name: str, role: str) -> None:
        """Give a role to a user; twice is once. Raises UserNotFound, RoleNotFound."""
        user = self.user(name)
        if role != ROOT and role not in self.roles:
            raise RoleNotFound
        if role in user.roles:
            return
        self.users[name] = user._replace(roles=tuple(sorted((*user.roles, role))))
        self._changed()

    def revoke_role(self, name: str, role: str) -> None:
        """Take a role from a user. Raises InvalidManagement (root), UserNotFound, RoleNotGranted."""
        if self.enabled and name == ROOT and role == ROOT:
            raise InvalidManagement
        user = self.user(name)
        if role not in user.roles:
            raise RoleNotGranted
        self.users[name] = user._replace(roles=tuple(other for other in user.roles if other != role))
        self._changed()

    # -- roles

    def _role(self, name: str) -> list[Permission]:
        role = self.roles.get(name)
        if role is None:
            raise RoleNotFound
        return role

    def add_role(self, name: str) -> None:
        """Add a role. Raises RoleEmpty, RoleExists."""
        if not name:
            raise RoleEmpty
        if name in self.roles:
            raise RoleExists
        self.roles[name] = []
        self._changed()

    def delete_role(self, name: str) -> None:
        """Delete a role, also from its users. Raises InvalidManagement (root), RoleNotFound."""
        if self.enabled and name == ROOT:
            raise InvalidManagement
        self._role(name)
        del self.roles[name]
        for user in list(self.users.values()):
            if name in user.roles:
                self.users[user.name] = user._replace(roles=tuple(role for role in user.roles if role != name))
        self._changed()

    def grant_permission(self, name: str, permission: Permission | None) -> None:
        """Let a role do more, or something else with a range it has. Raises PermissionNotGiven, InvalidManagement, RoleNotFound."""
        if permission is None:
            raise PermissionNotGiven
        if not _is_range(permission):
            raise InvalidManagement
        permissions = self._role(name)
        # Only the first permission of its key is looked at: etcd finds it by bisection over keys alone.
        place = bisect_left(permissions, permission.key, key=lambda other: other.key)
        if place < len(permissions) and permissions[place][:2] == permission[:2]:
            permissions[place] = permission
        else:
            insort(permissions, permission, key=lambda other: other.key)
        self._changed()

    def revoke_permission(self, name: str, key: bytes, range_end: bytes) -> None:
        """Take a range from a role. Raises RoleNotFound, PermissionNotGranted."""
        permissions = self._role(name)
        kept = [permission for permission in permissions if permission[:2] != (key, range_end)]
        if len(kept) == len(permissions):
            raise PermissionNotGranted
        self.roles[name] = kept
        self._changed()

    def permissions_of(self, name: str) -> list[Permission]:
        """Return what a role may do; root has everything. Raises RoleNotFound."""
        permissions = self._role(name)
        return [Permission(b"", b"\0", READWRITE)] if name == ROOT else permissions

    # -- checks

    def password_hash_of(self, name: str) -> str:
        """Return the hash that a login must match. Raises AuthNotEnabled, LoginFailed, NoPasswordUser."""
        if not self.enabled:
            raise AuthNotEnabled
        user = self.users.get(name)
        if user is None:
            raise LoginFailed
        if user.has_no_password:
            raise NoPasswordUser
        return user.password_hash

    def check_login(self, name: str) -> None:
        """Refuse a login that was checked before the user went. Raises AuthNotEnabled, LoginFailed."""
        if not self.enabled:
            raise AuthNotEnabled
        user = self.users.get(name)
        if user is None or user.has_no_password:
            raise LoginFailed

    def check_admin(self, caller: Caller) -> None:
        """Let only root do it. Raises UserEmpty, PermissionDenied."""
        if not self.enabled:
            return
        if not caller.name:
            raise UserEmpty
        user = self.users.get(caller.name)
        if user is None or ROOT not in user.roles:
            raise PermissionDenied

    def check(self, caller: Caller, kind: str, key: bytes, range_end: bytes | None = None) -> None:
        """Let only those do it who may READ or WRITE the whole range. Raises UserEmpty, OldAuthRevision, PermissionDenied."""
        if not self.enabled:
            return
        if not caller.revision:
            raise UserEmpty
        if caller.revision < self.revision:
            raise OldAuthRevision
        user = self.users.get(caller.name)
        if user is None:
            raise PermissionDenied
        if ROOT not in user.roles and not self._union(user, kind).covers(interval_of(key, range_end)):
            raise PermissionDenied

    def _union(self, user: User, kind: str) -> Union:
        unions = self._ranges.get(user.name)
        if unions is None:
            granted = [permission for role in user.roles for permission in self.roles.get(role, ())]
            unions = self._ranges[user.name] = (_union_of(granted, READ), _union_of(granted, WRITE))
        return unions[0] if kind == READ else unions[1]

    # -- whole stores

    def dump(self) -> AuthDump:
        """Return everything in it."""
        roles = tuple((name, tuple(self.roles[name])) for name in sorted(self.roles))
        return AuthDump(self.enabled, self.revision, tuple(self.users[name] for name in sorted(self.users)), roles)

    def load(self, dump: AuthDump) -> None:
        """Become what was dumped; nobody is logged in."""
        self.enabled, self.revision = dump.enabled, dump.revision
        self.users = {user.name: user for user in dump.users}
        self.roles = {name: list(permissions) for name, permissions in dump.roles}
        self._ranges.clear()
        self.logouts.append("")


def _is_range(permission: Permission) -> bool:
    key, end, _ = permission
    return bool(key) and (not end or end == b"\0" or key < end)


def _union_of(granted: list[Permission], kind: str) -> Union:
    return Union(interval_of(key, end) for key, end, other in granted if other in (kind, READWRITE))
