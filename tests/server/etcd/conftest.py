"""Members as processes: one zygote for the session, one member that tests share where they leave it usable."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.etcd.members import Member, Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """A process to fork members from."""
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture(scope="module")
def member(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    """A member that the tests of a module share."""
    member = Member(zygote, tmp_path_factory.mktemp("member"), unsafe_no_fsync="true").start()
    yield member
    member.kill()


@pytest.fixture
def make_member(zygote: Zygote, tmp_path: Path) -> Iterator[Callable[..., Member]]:
    """Make members that are killed at the end of the test; they are not started."""
    made: list[Member] = []

    def make(name: str = "n0", **flags: str) -> Member:
        made.append(Member(zygote, tmp_path, name, **flags))
        return made[-1]

    yield make
    for member in made:
        if member.process is not None:
            member.kill()
