"""A server on a fresh etcd, and short ways to ask it."""

from typing import Any

import pytest

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request
from kubesim.apiserver.server import ApiServer
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel


class Api:
    """A server and its kernel; ``status`` is how a request ended: the code, or the error's code and message."""

    def __init__(self, **options: Any) -> None:
        self.kernel = Kernel(seed=7)
        self.server = ApiServer(self.kernel, LocalEtcd(self.kernel), debug=True, **options)

    def __call__(self, request: Request) -> Any:
        return self.server.call(request)

    def outcome(self, request: Request) -> tuple[int, str]:
        """(200, "") or the code and message of the error."""
        try:
            self.server.call(request)
        except ApiError as error:
            return error.code, error.message
        return 200, ""

    def error(self, request: Request) -> ApiError:
        """The error that a request must end with."""
        with pytest.raises(ApiError) as caught:
            self.server.call(request)
        return caught.value

    def revision(self) -> int:
        """The head of the store."""
        return self.server.store.revision

    def run(self, duration_ns: int = 0) -> None:
        """Let virtual time pass."""
        self.kernel.run_due(self.kernel.now_ns + duration_ns)


@pytest.fixture
def api() -> Api:
    """A bootstrapped server, objects frozen."""
    return Api()
