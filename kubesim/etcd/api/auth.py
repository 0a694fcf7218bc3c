"""The Auth service. Passwords are hashed and checked here, so that none is in the log. Upstream: etcd ``v3_server.go``."""

from collections.abc import Callable, Coroutine
from typing import Any

from kubesim.etcd.api.context import Call, Context
from kubesim.etcd.auth.errors import LoginFailed
from kubesim.etcd.auth.passwords import matches
from kubesim.etcd.auth.tokens import LETTERS, PREFIX_LENGTH
from kubesim.etcd.wire.codec import Fields


def proposed(kind: str) -> Callable[[Context, Call, Fields], Coroutine[Any, Any, Fields]]:
    """Return a handler that only puts its message through the log."""

    async def handler(context: Context, call: Call, message: Fields) -> Fields:
        return context.headed(await context.propose(call, kind, message))

    return handler


async def authenticate(context: Context, call: Call, message: Fields) -> Fields:
    """Log a user in and return a token."""
    await context.read_barrier()
    name, password = message.get("name", ""), message.get("password", "")
    while True:
        auth = context.state.auth
        stored, revision = auth.password_hash_of(name), auth.revision
        if not matches(password, stored):
            raise LoginFailed
        prefix = "".join(LETTERS[context.random.below(len(LETTERS))] for _ in range(PREFIX_LENGTH))
        answer = await context.propose(call, "authenticate", {"name": name, "simple_token": prefix}, asks=False)
        if context.state.auth.revision == revision:
            return context.headed(answer)


async def user_add(context: Context, call: Call, message: Fields) -> Fields:
    """Add a user, with or without a password."""
    if not message.get("options", {}).get("no_password"):
        message = _hashed(context, message)
    return context.headed(await context.propose(call, "auth_user_add", message))


async def user_change_password(context: Context, call: Call, message: Fields) -> Fields:
    """Change a password."""
    if message.get("password"):
        message = _hashed(context, message)
    return context.headed(await context.propose(call, "auth_user_change_password", message))


def _hashed(context: Context, message: Fields) -> Fields:
    return {**message, "password": "", "hashedPassword": context.passwords.hash_of(message.get("password", ""))}
