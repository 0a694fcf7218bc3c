"""The errors of users, roles and permissions. Upstream: etcd ``api/v3rpc/rpctypes/error.go``."""

from kubesim.etcd.errors import FAILED_PRECONDITION, EtcdError

UNKNOWN = 2
PERMISSION_DENIED = 7
UNAUTHENTICATED = 16


class AuthError(EtcdError):
    """An error of the state of users and roles."""

    code = FAILED_PRECONDITION


class RootUserMissing(AuthError):
    """Authentication is enabled without the user root."""

    message = "etcdserver: root user does not exist"


class RootRoleMissing(AuthError):
    """Authentication is enabled without the role root of the user root."""

    message = "etcdserver: root user does not have root role"


class UserExists(AuthError):
    """A user of this name is there."""

    message = "etcdserver: user name already exists"


class UserEmpty(EtcdError):
    """The name of a user is empty, or nobody is logged in."""

    message = "etcdserver: user name is empty"


class UserNotFound(AuthError):
    """No such user."""

    message = "etcdserver: user name not found"


class RoleExists(AuthError):
    """A role of this name is there."""

    message = "etcdserver: role name already exists"


class RoleNotFound(AuthError):
    """No such role."""

    message = "etcdserver: role name not found"


class RoleEmpty(EtcdError):
    """The name of a role is empty."""

    message = "etcdserver: role name is empty"


class LoginFailed(EtcdError):
    """The password is wrong, or there is no such user."""

    message = "etcdserver: authentication failed, invalid user ID or password"


class NoPasswordUser(EtcdError):
    """A user who has no password gave one. etcd forgot to give this one a code."""

    code = UNKNOWN
    message = "auth: authentication failed, password was given for no password user"


class PermissionNotGiven(EtcdError):
    """A grant says nothing of what it grants."""

    message = "etcdserver: permission not given"


class PermissionDenied(EtcdError):
    """The user may not do this."""

    code = PERMISSION_DENIED
    message = "etcdserver: permission denied"


class RoleNotGranted(AuthError):
    """The user does not have the role."""

    message = "etcdserver: role is not granted to the user"


class PermissionNotGranted(AuthError):
    """The role does not have the permission."""

    message = "etcdserver: permission is not granted to the role"


class AuthNotEnabled(AuthError):
    """A login while authentication is off."""

    message = "etcdserver: authentication is not enabled"


class InvalidToken(EtcdError):
    """A token that nobody has, or that is over."""

    code = UNAUTHENTICATED
    message = "etcdserver: invalid auth token"


class InvalidManagement(EtcdError):
    """What would take the root user or role away, or a range that ends before it begins."""

    message = "etcdserver: invalid auth management"


class OldAuthRevision(EtcdError):
    """Users or roles have changed since the request was checked."""

    message = "etcdserver: revision of auth store is old"
