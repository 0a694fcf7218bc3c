"""TLS for clients and members: certificates are asked for and checked, and their common name is who calls."""

import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubesim.etcd.wire.codec import decode, encode
from kubesim.etcd.wire.schema import MESSAGES
from tests.server.etcd.members import Member

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

Make = Callable[..., Member]


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and server.pem, alice.pem with their keys; other.pem is of nobody's authority."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\n")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")
    openssl(folder, "req", "-x509", *key, "-keyout", "other.key", "-out", "other.pem", "-subj", "/CN=other", "-days", "2")
    for name in ("server", "alice"):
        openssl(folder, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        sign = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "extensions")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *sign)
    return folder


def flags_of(certificates: Path, prefix: str = "") -> dict[str, str]:
    return {
        f"{prefix}cert_file": str(certificates / "server.pem"),
        f"{prefix}key_file": str(certificates / "server.key"),
        f"{prefix}trusted_ca_file": str(certificates / "ca.pem"),
        f"{prefix}client_cert_auth": "true",
    }


def post(member: Member, certificates: Path, who: str | None, path: str, **message: str) -> Any:
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    if who is not None:
        context.load_cert_chain(certificates / f"{who}.pem", certificates / f"{who}.key")
    request = urllib.request.Request(member.url + path, json.dumps(message).encode())
    with urllib.request.urlopen(request, timeout=15, context=context) as answer:
        return json.load(answer)


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def test_only_clients_with_a_certificate_are_served(make_member: Make, certificates: Path) -> None:
    member = make_member(**flags_of(certificates))
    member.url = member.url.replace("http:", "https:")
    member.start()
    assert post(member, certificates, "alice", "/v3/kv/put", key=encoded("k"))["header"]["revision"] == "2"
    for who in (None, "other"):
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            post(member, certificates, who, "/v3/kv/put", key=encoded("k"))
    assert post(member, certificates, "alice", "/v3/kv/range", key=encoded("k"))["header"]["revision"] == "2"


def test_a_certificate_says_who_calls(make_member: Make, certificates: Path) -> None:
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
    member = make_member(bcrypt_cost="4", **flags_of(certificates))
    member.url = member.url.replace("http:", "https:")
    member.start()

    def call(path: str, **message: Any) -> Any:
        return post(member, certificates, "alice", path, **message)

    for name in ("root", "alice"):
        call("/v3/auth/user/add", name=name, password="secret")
        call("/v3/auth/role/add", name=name)
        call("/v3/auth/user/grant", user=name, role=name)
    call("/v3/auth/role/grant", name="alice", perm={"permType": "READWRITE", "key": encoded("mine")})
    call("/v3/auth/enable")
    ca, key, certificate = ((certificates / name).read_bytes() for name in ("ca.pem", "alice.key", "alice.pem"))
    with grpc.secure_channel(f"127.0.0.1:{member.port}", grpc.ssl_channel_credentials(ca, key, certificate)) as channel:
        put = channel.unary_unary("/etcdserverpb.KV/Put")
        message = MESSAGES["PutRequest"]
        answer = decode(MESSAGES["PutResponse"], put(encode(message, {"key": b"mine", "value": b"1"}), timeout=20))
        assert answer["header"]["revision"] == 2
        with pytest.raises(grpc.RpcError, match="permission denied"):
            put(encode(message, {"key": b"yours"}), timeout=20)


def test_members_talk_in_secret(make_member: Make, certificates: Path) -> None:
    members = [make_member(f"n{index}", **flags_of(certificates, "peer_")) for index in range(3)]
    for member in members:
        member.peer_url = member.peer_url.replace("http:", "https:")
    for member in members:
        member.start(members, waits=False)
    for member in members:
        member.wait()
    revision = members[0].post("/v3/kv/put", key=encoded("k"), value=encoded("v"))["header"]["revision"]
    for member in members:
        answer = member.post("/v3/kv/range", key=encoded("k"))
        assert (answer["kvs"][0]["value"], answer["kvs"][0]["mod_revision"]) == (encoded("v"), revision)
