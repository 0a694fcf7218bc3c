"""A served cluster inside somebody's process: the API server in a thread, the cluster beside it, its clock and its faults at hand.

For tests of clients and operators (``kubesim.testing.plugin`` makes a fixture of it). The thread has an event loop of its own; everything
that touches the cluster happens there (``call``), so that the caller needs no locks.
"""

import asyncio
import concurrent.futures
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from kubesim.cluster.cluster import Cluster, NotConverged
from kubesim.cluster.config import Duration, duration_ns
from kubesim.drive.stepped import Stepped
from kubesim.kernel.time import format_duration
from kubesim.server import kopf_operator
from kubesim.server.apiserver import kubeconfig
from kubesim.server.apiserver.certificates import make_client
from kubesim.server.apiserver.control import condition
from kubesim.server.apiserver.faults import Fault, read_faults
from kubesim.server.apiserver.flags import Flags
from kubesim.server.apiserver.process import Process, loop_factory
from kubesim.server.http_client import Client

T = TypeVar("T")
START_SECONDS_MAX = 60.0
PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.002
REACTION_SECONDS = 0.005


class Embedded:
    """A served cluster. ``time`` is "stepped" (the clock stands until ``cluster.advance``) or "real"; ``flags`` are those of serve.

    >>> with Embedded(nodes=2) as served:
    ...     served.cluster.advance("5m").now
    '2026-01-01T00:06:00Z'
    """

    def __init__(
        self,
        nodes: int | str = 2,
        seed: int = 0,
        *,
        time: str = "stepped",
        manifests: Sequence[str] = (),
        home: Path | None = None,
        **flags: Any,
    ) -> None:
        self._own_home = home is None
        self.home = Path(tempfile.mkdtemp(prefix="kubesim-")) if home is None else home
        values = {"port": 0, "cert_dir": str(self.home / "pki"), "kubeconfig": str(self.home / "kubeconfig"), **flags}
        self._process = Process(Flags(nodes=str(nodes), seed=seed, time=time, **values), manifests)
        self._loop: asyncio.AbstractEventLoop
        self._is_ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._clients: list[Callable[[], object]] = []
        self._thread = threading.Thread(target=self._run, name="kubesim", daemon=True)
        self._thread.start()
        try:
            self._is_ready.result(START_SECONDS_MAX)
        except BaseException:
            self._clean()
            raise
        self.kubeconfig = self._process.kubeconfig_path
        self.url = self._process.url
        self.cluster = ClusterInThread(self)
        self.faults = FaultsInThread(self)

    # -- the thread

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                self._loop = runner.get_loop()
                runner.run(self._process.run(self._on_ready))
        except BaseException as error:
            if not self._is_ready.done():
                self._is_ready.set_exception(error)
                return
            raise
        finally:
            self._process.close()

    def _on_ready(self) -> None:
        self._is_ready.set_result(None)

    def call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call a function in the server's thread and return what it returns."""

        async def called() -> T:
            result = function(*arguments, **options)
            self._process.guest.wake()
            return result

        return self.wait(called())

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    # -- what a test asks for

    @property
    def client(self) -> Client:
        """A small client of the API, as the administrator: ``client.get("/api/v1/pods")``."""
        if not hasattr(self, "_client"):
            self._client = Client.of(self.kubeconfig)
            self._clients.append(self._client.close)
        return self._client

    @property
    def api_client(self) -> Any:
        """The official client, as the administrator. Raises ImportError when the package ``kubernetes`` is not installed."""
        if not hasattr(self, "_api_client"):
            from kubernetes import config

            self._api_client = config.new_client_from_config(str(self.kubeconfig))
            self._clients.append(self._api_client.close)
        return self._api_client

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ("system:masters",)) -> Path:
        """A kubeconfig for another user, so that faults can be told to befall only that one: ``faults.add(..., user=user)``."""
        authority = self._process.certificates.authority
        path = self.home / f"kubeconfig-{user.replace('/', '_').replace(':', '_')}"
        kubeconfig.write(path, kubeconfig.kubeconfig(self.url, authority.certificate, make_client(authority, user, groups)))
        return path

    def kopf(self, path: Path | str, user: str = "operator") -> AbstractContextManager[threading.Thread]:
        """Run an operator written with kopf against this cluster: ``with served.kopf("operator.py"): ...``, as a user of its own."""
        return kopf_operator.running(path, self.kubeconfig_for(user))

    def wait_for(self, what: str | Callable[[Cluster], bool], timeout: Duration = "1h", patience: float = PATIENCE_SECONDS) -> Self:
        """Wait until a condition holds: let the clients under test work, and move the clock when they and the cluster have come to rest.

        After each instant that watching clients are told of they have a few milliseconds to ask for something, and go on until they do not.
        Where the cluster has nothing to do the clock stands. After ``patience`` real seconds it goes to ``timeout``. Raises NotConverged.
        """
        cluster = self._cluster
        test = self.call(condition, cluster.apiserver, what) if isinstance(what, str) else partial(what, cluster)
        name = what if isinstance(what, str) else "the condition"
        if not self.wait(self._wait_for(test, duration_ns("timeout", timeout), patience)):
            span = format_duration(duration_ns("timeout", timeout))
            message = f"{name} was not reached within {span} of virtual time and {patience:g} s of patience"
            raise NotConverged(message, self.call(cluster.waits))
        return self

    async def _wait_for(self, test: Callable[[], bool], timeout_ns: int, patience: float) -> bool:
        kernel, app, driver = self._process.guest.kernel, self._process.app, self._process.guest
        end_ns = kernel.now_ns + timeout_ns
        deadline = self._loop.time() + patience
        while not test():
            if kernel.now_ns >= end_ns:
                return False
            next_ns = kernel.next_time()
            if isinstance(driver, Stepped) and not kernel.quiet and next_ns <= end_ns:
                await driver.advance(max(next_ns - kernel.now_ns, 0), test)
                if app.is_telling:
                    await self._calm(deadline)
            elif self._loop.time() >= deadline:
                return await driver.advance(max(end_ns - kernel.now_ns, 0), test)
            else:
                await asyncio.sleep(POLL_SECONDS)
        return True

    async def _calm(self, deadline: float) -> None:
        """Wait until clients that have just been told something ask for nothing more."""
        app, answered = self._process.app, -1
        while app.answered_count != answered and self._loop.time() < deadline:
            answered = app.answered_count
            await asyncio.sleep(REACTION_SECONDS)

    @property
    def _cluster(self) -> Cluster:
        if self._process.cluster_parts is None:
            raise RuntimeError("--components leaves some out; expected all of them for a cluster at hand")
        if not hasattr(self, "_whole"):
            config, parts = self._process.cluster_parts
            self._whole = self.call(Cluster, config=config, parts=parts)
        return self._whole

    # -- the end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Stop the server and its thread. Can be called twice."""
        for close in self._clients:
            close()
        self._clients = []
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._process.server.end)
            self._thread.join()
        self._clean()

    def _clean(self) -> None:
        if self._own_home:
            shutil.rmtree(self.home, ignore_errors=True)


class ClusterInThread:
    """The in-process ``Cluster`` behind a server: every call happens in the server's thread.

    Has all methods and properties of ``kubesim.Cluster``. Time passes by ``advance`` (and ``run_for``, which is the same) while clients
    are told what happens; ``run_until`` and ``run_until_converged`` do not wait for clients: ``Embedded.wait_for`` does.
    """

    def __init__(self, served: Embedded) -> None:
        self._served = served

    def advance(self, duration: Duration) -> Self:
        """Move the clock: ``"5m"``, or nanoseconds. What is due happens, and clients that watch are told in the order of time."""
        served = self._served
        served.wait(served._process.guest.advance(duration_ns("duration", duration)))
        return self

    run_for = advance

    def __getattr__(self, name: str) -> Any:
        served = self._served
        value = served.call(getattr, served._cluster, name)
        return partial(self._call, value) if callable(value) else value

    def _call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        result = self._served.call(method, *arguments, **options)
        return self if isinstance(result, Cluster) else result


class FaultsInThread:
    """The faults of the API: ``add("conflict", resource="configmaps", times=2)``, ``random(rate=0.1)``, ``clear()``."""

    def __init__(self, served: Embedded) -> None:
        self._served = served

    def add(self, kind: str, **fields: Any) -> Fault:
        """Add a fault and return it: its ``hits`` count. ``fields`` are those of ``server/apiserver/faults.py``. Raises ValueError."""
        return self.read({"kind": kind, **fields})[0]

    def read(self, document: Any) -> list[Fault]:
        """Add the faults of a document, such as a YAML file has. Raises ValueError."""
        return self._served.call(self._faults.add, read_faults(document))

    def random(self, rate: float = 0.1, **fields: Any) -> list[Fault]:
        """Add one fault of each kind (or of ``kinds``), each with this probability. Raises ValueError."""
        return self.read({"random": {"rate": rate, **fields}})

    def clear(self) -> None:
        """Take all faults back."""
        self._served.call(self._faults.remove)

    @property
    def log(self) -> list[tuple[int, str, str, str, str, str]]:
        """What was hit: when, by what, verb, resource, namespace, name."""
        return self._served.call(list, self._faults.log)

    @property
    def _faults(self) -> Any:
        return self._served._process.app.faults
