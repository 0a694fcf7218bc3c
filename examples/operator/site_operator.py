"""An operator written with kopf: each Site is built by one Job; when the Job is complete, the Site says so.

The Job is named after its Site, so one that is there already was made by an earlier try. With ``generateName`` in its place, which looks as
good, a try whose answer gets lost has made one Job too many: ``test_site_operator.py`` shows it.
"""

import kopf
from kubernetes import client, config

GROUP, VERSION, PLURAL = "example.com", "v1", "sites"


def job(name: str, image: str) -> dict:
    """The Job that builds a Site."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "build", "image": image}]}
    return {"metadata": {"name": f"build-{name}", "labels": {"site": name}}, "spec": {"template": {"spec": pod}}}


@kopf.on.create(GROUP, VERSION, PLURAL)
def build(name, namespace, spec, **_):
    """Make the Job, unless an earlier try has made it."""
    body = job(name, spec["image"])
    kopf.adopt(body)
    with config.new_client_from_config() as api:
        try:
            client.BatchV1Api(api).create_namespaced_job(namespace, body)
        except client.ApiException as error:
            if error.status != 409:
                raise


@kopf.on.event("batch", "v1", "jobs", labels={"site": kopf.PRESENT})
def built(body, namespace, **_):
    """Say that a Site is built when its Job is complete."""
    if not body.get("status", {}).get("succeeded"):
        return
    condition = {"type": "Built", "status": "True", "reason": "JobComplete", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    with config.new_client_from_config() as api:
        client.CustomObjectsApi(api).patch_namespaced_custom_object_status(
            GROUP, VERSION, namespace, PLURAL, body["metadata"]["labels"]["site"], {"status": {"conditions": [condition]}}
        )
