"""Tokens of service accounts: signed by the server, good while the account and what the token is bound to are there.

JSON web tokens, RS256. A token that was good is good for ten more seconds, as upstream's cache has it. Upstream:
pkg/serviceaccount/{jwt,claims}.go.
"""

import base64
import hashlib
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from kubesim.api.errors import ApiError, conflict
from kubesim.apiserver.server import ApiServer
from kubesim.kernel.time import SECOND
from kubesim.server.apiserver.certificates import write_private
from kubesim.server.apiserver.users import SERVICE_ACCOUNT_PREFIX, User, authenticated

Object = dict[str, Any]
KEY_BITS = 2048
REMEMBERED_NS = 10 * SECOND
REMEMBERED_MAX = 4096
LEEWAY_SECONDS = 60
BINDABLE = {("v1", "Pod"): "pods", ("v1", "Secret"): "secrets", ("v1", "Node"): "nodes"}


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Issuer:
    """Signs and verifies. The key is made at its first use, or read from ``path`` and kept there."""

    def __init__(self, server: ApiServer, url: str, path: Path | None = None) -> None:
        self.url = url
        self._server = server
        self._path = path
        self._private: rsa.RSAPrivateKey | None = None
        self._jti = server.kernel.rng("kube-apiserver/token-id")
        self._good: dict[str, tuple[int, User, tuple[str, ...]]] = {}

    @property
    def _key(self) -> rsa.RSAPrivateKey:
        if self._private is None:
            if self._path is not None and self._path.exists():
                key = serialization.load_pem_private_key(self._path.read_bytes(), None)
                if not isinstance(key, rsa.RSAPrivateKey):
                    raise ValueError(f"{self._path}: expected an RSA key")
                self._private = key
            else:
                self._private = rsa.generate_private_key(65537, KEY_BITS)
                if self._path is not None:
                    pem = serialization.PrivateFormat.PKCS8
                    data = self._private.private_bytes(serialization.Encoding.PEM, pem, serialization.NoEncryption())
                    write_private(self._path, data)
        return self._private

    def _key_id(self) -> str:
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        return _encode(hashlib.sha256(self._key.public_key().public_bytes(serialization.Encoding.DER, spki)).digest())

    def sign(self, account: Object, audiences: list[str], seconds: int, bound: Object | None) -> str:
        """A token for a service account."""
        now = self._server.kernel.now_ns // SECOND
        metadata = account["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        private: Object = {"namespace": namespace, "serviceaccount": {"name": name, "uid": metadata["uid"]}}
        if bound is not None:
            private[bound["kind"].lower()] = {"name": bound["metadata"]["name"], "uid": bound["metadata"]["uid"]}
            node = (bound.get("spec") or {}).get("nodeName")
            found = self._server.peek("nodes", "", node) if node else None
            if found is not None:
                private["node"] = {"name": node, "uid": found["metadata"]["uid"]}
        claims = {
            "aud": audiences,
            "exp": now + seconds,
            "iat": now,
            "iss": self.url,
            "jti": self._jti.uuid(),
            "kubernetes.io": private,
            "nbf": now,
            "sub": f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}",
        }
        head = {"alg": "RS256", "kid": self._key_id()}
        text = f"{_encode(orjson.dumps(head))}.{_encode(orjson.dumps(claims))}"
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_encode(signature)}"

    def claims(self, token: str) -> Object | None:
        """What a token of this issuer says, or None when it is none, or its time is over."""
        parts = token.split(".")
        if len(parts) != 3:
            return None
        try:
            head, claims, signature = orjson.loads(_decode(parts[0])), orjson.loads(_decode(parts[1])), _decode(parts[2])
            if head.get("alg") != "RS256":
                return None
            self._key.public_key().verify(signature, f"{parts[0]}.{parts[1]}".encode(), padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, InvalidSignature, AttributeError):
            return None
        now = self._server.kernel.now_ns // SECOND
        if claims.get("iss") != self.url or not claims["nbf"] - LEEWAY_SECONDS <= now < claims["exp"]:
            return None
        found: Object = claims
        return found

    def verify(self, token: str) -> tuple[User, tuple[str, ...]] | None:
        """The user of a token and its audiences, or None for one that is not good."""
        now_ns = self._server.kernel.now_ns
        known = self._good.get(token)
        if known is not None and known[0] > now_ns:
            return known[1], known[2]
        claims = self.claims(token)
        if claims is None or not self._is_alive(claims):
            self._good.pop(token, None)
            return None
        user, audiences = _user_of(claims), tuple(claims["aud"])
        if len(self._good) >= REMEMBERED_MAX:
            self._good.clear()
        self._good[token] = (now_ns + REMEMBERED_NS, user, audiences)
        return user, audiences

    def user_of(self, token: str) -> User | None:
        """The user of a token that is meant for this server."""
        found = self.verify(token)
        return found[0] if found is not None and self.url in found[1] else None

    def _is_alive(self, claims: Object) -> bool:
        private = claims["kubernetes.io"]
        namespace, account = private["namespace"], private["serviceaccount"]
        found = self._server.peek("serviceaccounts", namespace, account["name"])
        if found is None or found["metadata"]["uid"] != account["uid"]:
            return False
        for kind, resource in (("pod", "pods"), ("secret", "secrets")):
            if kind in private:
                bound = self._server.peek(resource, namespace, private[kind]["name"])
                if bound is None or bound["metadata"]["uid"] != private[kind]["uid"]:
                    return False
        return True

    def bound_object(self, reference: Object, namespace: str) -> Object:
        """The object that a token is to be bound to. Raises ApiError 400, 404 or 409."""
        version, kind = reference.get("apiVersion", ""), reference.get("kind", "")
        resource = BINDABLE.get((version, kind))
        if resource is None:
            group, _, name = version.rpartition("/")
            raise ApiError(400, "BadRequest", f"cannot bind token to object of type {group}/{name}, Kind={kind}")
        found = self._server.get(resource, "" if kind == "Node" else namespace, reference.get("name", ""))
        if reference.get("uid") and reference["uid"] != found["metadata"]["uid"]:
            why = (
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. The object might have been "
                "deleted and then recreated"
            )
            raise conflict(resource, reference["name"], why)
        return found

    def configuration(self, server_address: str) -> Object:
        """The OpenID configuration."""
        return {
            "issuer": self.url,
            "jwks_uri": f"https://{server_address}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def keys(self) -> Object:
        """The public keys."""
        numbers = self._key.public_key().public_numbers()
        modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
        key = {"use": "sig", "kty": "RSA", "kid": self._key_id(), "alg": "RS256", "n": _encode(modulus), "e": "AQAB"}
        return {"keys": [key]}


def _user_of(claims: Object) -> User:
    private = claims["kubernetes.io"]
    namespace = private["namespace"]
    extra = {"authentication.kubernetes.io/credential-id": (f"JTI={claims['jti']}",)}
    for kind in ("node", "pod"):
        if kind in private:
            extra[f"authentication.kubernetes.io/{kind}-name"] = (private[kind]["name"],)
            extra[f"authentication.kubernetes.io/{kind}-uid"] = (private[kind]["uid"],)
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return authenticated(User(claims["sub"], groups, private["serviceaccount"]["uid"], extra))
