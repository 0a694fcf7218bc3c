"""The token controller: a Secret of type service-account-token gets its token, and goes when its ServiceAccount goes.

Upstream: pkg/controller/serviceaccount/tokens_controller.go. The token is a JWT with upstream's claims whose signature nobody can check: in
process nobody authenticates with one.
"""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from hashlib import blake2b

import orjson

from kubesim.api.meta import key_of
from kubesim.apiserver.requests import Object, delete, update
from kubesim.client.informer import IndexFunction
from kubesim.controllers.contract import DONE, ControllerBase, Mapper, Result, View, own_key
from kubesim.controllers.root_ca_publisher import ROOT_CA

TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME, ACCOUNT_UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


def account_of(secret: Object) -> tuple[str, ...]:
    """Index function: the key of the ServiceAccount that a token Secret belongs to."""
    if secret.get("type") != TYPE:
        return ()
    name = (secret["metadata"].get("annotations") or {}).get(ACCOUNT_NAME, "")
    return (f"{secret['metadata']['namespace']}/{name}",)


def account_to_secrets(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The token Secrets of an account that came or went."""
    if old is not None and new is not None:
        return ()
    account = new if new is not None else old
    return () if account is None else tuple(view.indexed("secrets", "account", key_of(account)))


class TokensController(ControllerBase):
    """Reconciles Secrets by ``namespace/name``."""

    name = "serviceaccount-token-controller"
    resource = "secrets"
    watches: Mapping[str, Mapper] = {"secrets": own_key, "serviceaccounts": account_to_secrets}
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {"secrets": {"account": account_of}}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Delete a Secret whose account is not there, or another one; complete one whose is."""
        secret = view.get("secrets", key)
        if secret is None or secret.get("type") != TYPE or secret["metadata"].get("deletionTimestamp"):
            return DONE
        metadata = secret["metadata"]
        annotations = metadata.get("annotations") or {}
        account = view.get("serviceaccounts", account_of(secret)[0])
        uid = annotations.get(ACCOUNT_UID)
        if account is None or (uid and uid != account["metadata"]["uid"]):
            preconditions = {"uid": metadata["uid"]}
            return Result([delete("secrets", metadata["namespace"], metadata["name"], preconditions=preconditions)])
        data = secret.get("data") or {}
        wanted = {**data, **{field: text for field, text in token_data(secret, account).items() if field not in data}}
        if wanted == data and uid:
            return DONE
        metadata = {**metadata, "annotations": {**annotations, ACCOUNT_UID: account["metadata"]["uid"]}}
        return Result([update("secrets", {**secret, "metadata": metadata, "data": wanted})])


def token_data(secret: Object, account: Object) -> Object:
    """The data of a token Secret, base64."""
    namespace, name = account["metadata"]["namespace"], account["metadata"]["name"]
    claims = {
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secret["metadata"]["name"],
        "kubernetes.io/serviceaccount/service-account.name": name,
        "kubernetes.io/serviceaccount/service-account.uid": account["metadata"]["uid"],
        "sub": f"system:serviceaccount:{namespace}:{name}",
    }
    signed = f"{_base64url(orjson.dumps({'alg': 'RS256'}))}.{_base64url(orjson.dumps(claims))}"
    token = f"{signed}.{_base64url(blake2b(signed.encode(), digest_size=32).digest())}"
    found = {"ca.crt": ROOT_CA, "namespace": namespace, "token": token}
    return {field: b64encode(text.encode()).decode() for field, text in found.items()}


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


CONTROLLER = TokensController
