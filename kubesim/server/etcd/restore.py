"""``snapshot restore``: a data directory from a snapshot's file, for one member of a new cluster that begins with the snapshot's content.

Members, cluster ID and log are new, as after a first start with the same flags; keys with all their revisions, leases, users, roles and
alarms are the snapshot's. Every member restores the same file under its own name. Upstream: etcd ``etcdutl/snapshot/v3_snapshot.go``.
"""

from pathlib import Path

from kubesim.etcd import wal
from kubesim.etcd.member import SnapshotData
from kubesim.etcd.membership import MemberInfo, Members, cluster_id_of, member_id_of
from kubesim.etcd.raft.messages import NONE, ConfState, Snapshot
from kubesim.etcd.snapshot_file import BadSnapshot, SnapshotStatus, read_file, status_of_file
from kubesim.etcd.wire.plain import pack
from kubesim.server.etcd.door import Door
from kubesim.server.etcd.files import BadDataDir, DataDir
from kubesim.server.etcd.flags import Flags

FIRST_TERM = 1


def restore(file: Path, flags: Flags, checks_hash: bool = True, door: Door | None = None) -> None:
    """Write the data directory of the member that ``flags`` name. Raises BadSnapshot, BadFlags, BadDataDir; then nothing was written."""
    flags.check()
    members = flags.members()
    data = read_file(_read(file), checks_hash)
    path = flags.directory
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BadDataDir(f"{path} is not empty; a snapshot is restored into a new directory")
    token = flags.initial_cluster_token
    infos = [MemberInfo(member_id_of(",".join(hosts), token), ",".join(hosts), name) for name, hosts in members.items()]
    own = next(info.member_id for info in infos if info.name == flags.name)
    directory = DataDir(path, door)
    directory.open()
    try:
        # The log would begin with one entry per member; the snapshot stands for all of them.
        voters = tuple(sorted(info.member_id for info in infos))
        content = SnapshotData(data.state, Members(infos).dump())
        snapshot = Snapshot(len(infos), FIRST_TERM, ConfState(voters), content)
        directory.save_snapshot(snapshot.index, pack(snapshot))
        records, _ = wal.encode([wal.Record(wal.HARD_STATE, wal.hard_state_payload(FIRST_TERM, NONE, snapshot.index))], 0)
        directory.door.write_whole(directory.segment_path(1), wal.begin(1) + records)
        directory.identify(own, cluster_id_of([info.member_id for info in infos]), True)
    finally:
        directory.close()


def status(file: Path, checks_hash: bool = True) -> SnapshotStatus:
    """Return what can be told of a snapshot's file. Raises BadSnapshot."""
    return status_of_file(_read(file), checks_hash)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadSnapshot(f"cannot be read: {error.strerror}") from None
