"""The application is tested where its packages are installed (extra ``server``)."""

import pytest

pytest.importorskip("cryptography", reason="kubesim[server] is not installed")


@pytest.fixture
def door():
    """A fresh apiserver behind its application."""
    from tests.server.door import Door

    return Door()
