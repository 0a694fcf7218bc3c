"""TLS: a certificate authority of one's own, a server certificate for the loopback names, a client certificate for the administrator.

Kept in a directory, made at the first start; a directory that has them is used as it is. The clock is the wall clock's: certificates are
for real clients.
"""

import datetime
import ipaddress
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_DAYS = 3650
NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


def _name(common_name: str, organizations: Sequence[str] = ()) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(key: Key) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _builder(subject: x509.Name, issuer: x509.Name, key: Key) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
    )


def make_authority(common_name: str = "kubesim-ca") -> Pair:
    """A self-signed authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    usage = x509.KeyUsage(True, False, True, False, False, True, True, False, False)
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def _signed(authority: Pair, builder: x509.CertificateBuilder, key: Key) -> Pair:
    signer = serialization.load_pem_private_key(authority.key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    signer_certificate = x509.load_pem_x509_certificate(authority.certificate)
    identifier = signer_certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    certificate = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).sign(signer, hashes.SHA256())
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def make_server(authority: Pair, addresses: Sequence[str]) -> Pair:
    """A server certificate for the loopback names and some addresses or names."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(authority.certificate).subject
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in NAMES]
    for address in dict.fromkeys(("127.0.0.1", "::1", *addresses)):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        except ValueError:
            names.append(x509.DNSName(address))
    builder = _builder(_name("kube-apiserver"), issuer, key).add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _signed(authority, builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False), key)


def make_client(authority: Pair, common_name: str, organizations: Sequence[str]) -> Pair:
    """A client certificate: the common name is the user, the organizations are the groups."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(authority.certificate).subject
    builder = _builder(_name(common_name, organizations), issuer, key)
    return _signed(authority, builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False), key)


class Directory:
    """The certificates of a server in a directory; those that are missing are made. Raises OSError."""

    def __init__(self, path: Path, addresses: Sequence[str] = ()) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = self._pair("ca", make_authority)
        self.server = self._pair("apiserver", lambda: make_server(authority, addresses))
        self.admin = self._pair("admin", lambda: make_client(authority, "kubernetes-admin", ["system:masters"]))
        self.authority = authority

    def file(self, name: str) -> Path:
        """The path of a file of the directory."""
        return self.path / name

    def _pair(self, name: str, make: Callable[[], Pair]) -> Pair:
        certificate, key = self.file(f"{name}.crt"), self.file(f"{name}.key")
        if certificate.exists() and key.exists():
            return Pair(certificate.read_bytes(), key.read_bytes())
        pair = make()
        write_private(key, pair.key)
        certificate.write_bytes(pair.certificate)
        return pair


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
