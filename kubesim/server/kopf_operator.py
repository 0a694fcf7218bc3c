"""An operator written with kopf, running in a thread against a served cluster: ``with kubesim.kopf("operator.py"): ...``.

The operator's file is run as ``kopf run`` runs it, in a registry of its own, so that each test begins anew. Its waits after errors are
shortened to hundredths of a second: they are of the real clock, which no test should wait for.
"""

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from runpy import run_path
from typing import Any

READY_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 30.0
BACKOFFS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)


def impatient(settings: Any) -> Any:
    """kopf's settings, with short waits after errors and no events about its own doing."""
    settings.posting.enabled = False
    settings.networking.error_backoffs = BACKOFFS
    settings.queueing.error_delays = BACKOFFS
    settings.queueing._batch_window = BACKOFFS[0]
    settings.queueing.idle_timeout = 1.0
    settings.watching.reconnect_backoff = BACKOFFS[0]
    settings.execution.default_backoff = BACKOFFS[2]
    settings.persistence.consistency_timeout = BACKOFFS[-1]
    return settings


@contextmanager
def running(path: Path | str, kubeconfig: Path, namespaces: tuple[str, ...] = ("default",)) -> Iterator[threading.Thread]:
    """Run an operator's file until the end of the ``with``. Raises ImportError without kopf, RuntimeError when it does not start."""
    import kopf

    registry, former = kopf.OperatorRegistry(), kopf.get_default_registry()
    kopf.set_default_registry(registry)
    restore = _as_kubeconfig(kubeconfig)
    is_ready, must_stop = threading.Event(), threading.Event()
    problems: list[BaseException] = []
    how = {"registry": registry, "settings": impatient(kopf.OperatorSettings()), "standalone": True}

    def operate() -> None:
        try:
            asyncio.run(kopf.operator(namespaces=namespaces, ready_flag=is_ready, stop_flag=must_stop, **how))
        except BaseException as error:
            problems.append(error)
        finally:
            is_ready.set()

    thread = threading.Thread(target=operate, name="kopf", daemon=True)
    try:
        kopf.on.login(registry=registry)(kopf.login_with_kubeconfig)
        run_path(str(path), run_name="operator")
        thread.start()
        if not is_ready.wait(READY_SECONDS_MAX):
            problems.append(RuntimeError(f"the operator {path} was not ready within {READY_SECONDS_MAX:g} s"))
        if problems:
            raise RuntimeError(f"the operator {path} has ended: {problems[0]!r}") from problems[0]
        yield thread
    finally:
        must_stop.set()
        if thread.ident is not None:
            thread.join(STOP_SECONDS_MAX)
        kopf.set_default_registry(former)
        restore()
        gc.collect()  # what the operator has left open is found now, and not in a later test


def _as_kubeconfig(path: Path) -> Callable[[], None]:
    """Make a kubeconfig the default one, also for the official client, which looks at the environment when it is imported only."""
    old = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = str(path)
    official: Any = sys.modules.get("kubernetes.config.kube_config")
    known = getattr(official, "KUBE_CONFIG_DEFAULT_LOCATION", None)
    if official is not None:
        official.KUBE_CONFIG_DEFAULT_LOCATION = str(path)

    def restore() -> None:
        if old is None:
            del os.environ["KUBECONFIG"]
        else:
            os.environ["KUBECONFIG"] = old
        if official is not None:
            official.KUBE_CONFIG_DEFAULT_LOCATION = known

    return restore
