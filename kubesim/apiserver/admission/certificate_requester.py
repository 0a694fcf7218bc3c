"""CertificateRequester: a CertificateSigningRequest says who asked, whatever its author wrote there.

Upstream does this in the strategy (pkg/registry/certificates/certificates/strategy.go), which knows the user of the request; here the
plugins do.
"""

from kubesim.apiserver.admission.contract import CREATE, Attributes, Object, Plugin, Policy

FIELDS = ("username", "uid", "groups", "extra")


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Write the user into the spec."""
    obj: Object = attributes.obj
    user = attributes.request.options.get("userInfo") or {"username": attributes.request.user}
    spec = {key: value for key, value in (obj.get("spec") or {}).items() if key not in FIELDS}
    return {**obj, "spec": spec | {key: user[key] for key in FIELDS if user.get(key)}}


PLUGIN = Plugin("CertificateRequester", (CREATE,), ("certificatesigningrequests.certificates.k8s.io",), mutate=mutate)
