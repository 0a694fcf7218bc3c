"""Objects and differences as upstream's messages show them."""

import pytest

from kubesim.api import field
from kubesim.api.go_dump import CLAIM_SPEC, POD_SPEC, as_struct, diff, go_name
from kubesim.api.go_order import in_go_order
from kubesim.api.schema import Field

NAMES = [
    ("dnsPolicy", "DNSPolicy"), ("setHostnameAsFQDN", "SetHostnameAsFQDN"), ("seLinuxOptions", "SELinuxOptions"), ("tty", "TTY"),
    ("httpGet", "HTTPGet"), ("fsGroup", "FSGroup"), ("os", "OS"), ("image", "Image"), ("gcePersistentDisk", "GCEPersistentDisk"),
    ("ipBlock", "IPBlock"), ("hostPID", "HostPID"), ("cephfs", "CephFS"),
]  # fmt: skip
RENAMED = """@@ -3,7 +3,7 @@
  "InitContainers": null,
  "Containers": [
   {
-   "Name": "main",
+   "Name": "other",
    "Image": "i",
    "Command": null,
    "Args": null,
"""


@pytest.mark.parametrize(("name", "expected"), NAMES)
def test_names(name: str, expected: str) -> None:
    assert go_name(name) == expected


def test_the_difference_of_two_pod_specs() -> None:
    old, new = ({"containers": [{"name": name, "image": "i"}]} for name in ("main", "other"))
    assert diff(old, new, POD_SPEC) == RENAMED


def test_a_struct_on_one_line() -> None:
    shown = '{"AccessModes":["ReadWriteOnce"],"Selector":null,"Resources":{"Limits":null,"Requests":null},"VolumeName":"",'
    assert field.show(as_struct({"accessModes": ["ReadWriteOnce"]}, CLAIM_SPEC)).startswith(shown)
    assert as_struct(None, CLAIM_SPEC) is None


def test_go_order_is_that_of_the_structs() -> None:
    spec = {"restartPolicy": "Always", "containers": [{"image": "i", "name": "c"}], "volumes": [{"emptyDir": {}, "name": "v"}]}
    ordered = in_go_order(spec, Field("@", ref=POD_SPEC))
    assert list(ordered) == ["volumes", "containers", "restartPolicy"]
    assert list(ordered["containers"][0]) == ["name", "image"] and list(ordered["volumes"][0]) == ["name", "emptyDir"]
