"""The roles and bindings that a cluster has from the start, as upstream's v1.36 creates them.

One line is one rule: verbs, API groups, resources, and maybe names, or verbs and paths; ``R`` is get, list, watch, ``E`` the rule about
events, ``core`` the group without a name. A role of a controller is bound to the service account of its name in kube-system.

Upstream: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/{policy,controller_policy,namespace_policy}.go.
"""

from collections.abc import Iterator
from typing import Any

from kubesim.apiserver.requests import Request, create
from kubesim.server.apiserver.rbac import BINDINGS, CLUSTER_BINDINGS, CLUSTER_ROLES, GROUP, ROLES

Object = dict[str, Any]
READ = ("get", "list", "watch")
READ_WRITE = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
WORDS = {"R": READ, "RW": READ_WRITE, "W": WRITE}
EVENTS = "create patch update; core events.k8s.io; events"
AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
USER = "system:apiserver"

CLUSTER_ROLE_RULES: dict[str, str] = {
    "cluster-admin": """
        *; *; *
        *; /: *""",
    "system:discovery": """
        get; /: /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/""",
    "system:public-info-viewer": """
        get; /: /healthz /livez /readyz /version /version/""",
    "system:monitoring": """
        get; /: /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*""",
    "system:basic-user": """
        create; authorization.k8s.io; selfsubjectaccessreviews selfsubjectrulesreviews
        create; authentication.k8s.io; selfsubjectreviews""",
    "system:aggregate-to-admin": """
        create; authorization.k8s.io; localsubjectaccessreviews
        RW; rbac.authorization.k8s.io; rolebindings roles""",
    "system:aggregate-to-edit": """
        R; core; pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy
        impersonate; core; serviceaccounts
        W; core; pods pods/attach pods/exec pods/portforward pods/proxy
        create; core; pods/eviction
        W; core; configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale \
          secrets serviceaccounts services services/proxy
        create; core; serviceaccounts/token
        W; apps; daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale
        W; autoscaling; horizontalpodautoscalers
        W; batch; cronjobs jobs
        W; extensions; daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies \
          replicasets replicasets/scale replicationcontrollers/scale
        W; policy; poddisruptionbudgets
        W; networking.k8s.io; ingresses networkpolicies
        RW; coordination.k8s.io; leases
        W; resource.k8s.io; resourceclaims resourceclaimtemplates""",
    "system:aggregate-to-view": """
        R; core; configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods \
          replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status
        R; core; bindings events limitranges namespaces/status pods/log pods/status \
          replicationcontrollers/status resourcequotas resourcequotas/status
        R; core; namespaces
        R; discovery.k8s.io; endpointslices
        R; apps; controllerrevisions daemonsets daemonsets/status deployments deployments/scale \
          deployments/status replicasets replicasets/scale replicasets/status statefulsets \
          statefulsets/scale statefulsets/status
        R; autoscaling; horizontalpodautoscalers horizontalpodautoscalers/status
        R; batch; cronjobs cronjobs/status jobs jobs/status
        R; extensions; daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses \
          ingresses/status networkpolicies replicasets replicasets/scale replicasets/status \
          replicationcontrollers/scale
        R; policy; poddisruptionbudgets poddisruptionbudgets/status
        R; networking.k8s.io; ingresses ingresses/status networkpolicies
        R; resource.k8s.io; resourceclaims resourceclaims/status resourceclaimtemplates""",
    "system:heapster": """
        R; core; events namespaces nodes pods
        R; extensions; deployments""",
    "system:node": """
        create; authentication.k8s.io; tokenreviews
        create; authorization.k8s.io; localsubjectaccessreviews subjectaccessreviews
        R; core; services
        create get list watch; core; nodes
        patch update; core; nodes/status
        patch update; core; nodes
        E
        R; core; pods
        create delete; core; pods
        patch update; core; pods/status
        create; core; pods/eviction
        R; core; configmaps secrets
        get; core; persistentvolumeclaims persistentvolumes
        get; core; endpoints
        create get list watch; certificates.k8s.io; certificatesigningrequests
        create delete get patch update; coordination.k8s.io; leases
        get; storage.k8s.io; volumeattachments
        create; core; serviceaccounts/token
        get patch update; core; persistentvolumeclaims/status
        R; storage.k8s.io; csidrivers
        create delete get patch update; storage.k8s.io; csinodes
        R; node.k8s.io; runtimeclasses
        get; resource.k8s.io; resourceclaims
        deletecollection; resource.k8s.io; resourceslices
        get; core; serviceaccounts""",
    "system:node-problem-detector": """
        get; core; nodes
        patch; core; nodes/status
        E""",
    "system:kubelet-api-admin": """
        R; core; nodes
        proxy; core; nodes
        *; core; nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats""",
    "system:node-bootstrapper": """
        create get list watch; certificates.k8s.io; certificatesigningrequests""",
    "system:auth-delegator": """
        create; authentication.k8s.io; tokenreviews
        create; authorization.k8s.io; subjectaccessreviews""",
    "system:kube-aggregator": """
        R; core; endpoints services""",
    "system:kube-controller-manager": """
        E
        create; coordination.k8s.io; leases
        get update; coordination.k8s.io; leases; kube-controller-manager
        create; core; secrets serviceaccounts
        delete; core; secrets
        get; core; configmaps namespaces secrets serviceaccounts
        update; core; secrets serviceaccounts
        create; authentication.k8s.io; tokenreviews
        create; authorization.k8s.io; subjectaccessreviews
        list watch; *; *
        create; core; serviceaccounts/token""",
    "system:kube-dns": """
        list watch; core; endpoints services""",
    "system:kube-scheduler": """
        E
        create; coordination.k8s.io; leases
        get list update watch; coordination.k8s.io; leases; kube-scheduler
        RW; coordination.k8s.io; leasecandidates
        R; core; nodes
        delete get list watch; core; pods
        create; core; bindings pods/binding
        patch update; core; pods/status
        R; core; replicationcontrollers services
        R; apps extensions; replicasets
        R; apps; statefulsets
        R; policy; poddisruptionbudgets
        R; core; persistentvolumeclaims persistentvolumes
        create; authentication.k8s.io; tokenreviews
        create; authorization.k8s.io; subjectaccessreviews
        R; storage.k8s.io; csinodes
        R; storage.k8s.io; volumeattachments
        R; core; namespaces
        R; storage.k8s.io; csidrivers
        R; storage.k8s.io; csistoragecapacities
        R; resource.k8s.io; deviceclasses
        get list patch update watch; resource.k8s.io; resourceclaims
        get list patch update watch; resource.k8s.io; resourceclaims/status
        update; core; pods/finalizers
        R; resource.k8s.io; resourceslices
        create delete; resource.k8s.io; resourceclaims
        patch update; resource.k8s.io; resourceclaims/binding""",
    "system:persistent-volume-provisioner": """
        create delete get list watch; core; persistentvolumes
        get list update watch; core; persistentvolumeclaims
        R; storage.k8s.io; storageclasses
        watch; core; events
        E""",
    "system:volume-scheduler": """
        get list patch update watch; core; persistentvolumes
        R; storage.k8s.io; storageclasses
        get list patch update watch; core; persistentvolumeclaims""",
    "system:node-proxier": """
        list watch; core; endpoints services
        R; core; nodes
        E
        list watch; discovery.k8s.io; endpointslices
        list watch; networking.k8s.io; servicecidrs""",
    "system:certificates.k8s.io:certificatesigningrequests:nodeclient": """
        create; certificates.k8s.io; certificatesigningrequests/nodeclient""",
    "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient": """
        create; certificates.k8s.io; certificatesigningrequests/selfnodeclient""",
    "system:service-account-issuer-discovery": """
        get; /: /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/""",
    "system:certificates.k8s.io:legacy-unknown-approver": """
        approve; certificates.k8s.io; signers; kubernetes.io/legacy-unknown""",
    "system:certificates.k8s.io:kubelet-serving-approver": """
        approve; certificates.k8s.io; signers; kubernetes.io/kubelet-serving""",
    "system:certificates.k8s.io:kube-apiserver-client-approver": """
        approve; certificates.k8s.io; signers; kubernetes.io/kube-apiserver-client""",
    "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver": """
        approve; certificates.k8s.io; signers; kubernetes.io/kube-apiserver-client-kubelet""",
}

CONTROLLER_RULES: dict[str, str] = {
    "attachdetach-controller": """
        list watch; core; persistentvolumeclaims persistentvolumes
        R; core; nodes
        patch update; core; nodes/status
        list watch; core; pods
        E
        create delete get list watch; storage.k8s.io; volumeattachments
        R; storage.k8s.io; csidrivers
        R; storage.k8s.io; csinodes""",
    "clusterrole-aggregation-controller": """
        escalate get list patch update watch; rbac.authorization.k8s.io; clusterroles""",
    "cronjob-controller": """
        get list update watch; batch; cronjobs
        create delete get list patch update watch; batch; jobs
        update; batch; cronjobs/status
        update; batch; cronjobs/finalizers
        delete list watch; core; pods
        E""",
    "daemon-set-controller": """
        R; apps extensions; daemonsets
        update; apps extensions; daemonsets/status
        update; apps extensions; daemonsets/finalizers
        list watch; core; nodes
        create delete list patch watch; core; pods
        create; core; pods/binding
        create delete get list patch update watch; apps; controllerrevisions
        E""",
    "deployment-controller": """
        get list update watch; apps extensions; deployments
        update; apps extensions; deployments/status
        update; apps extensions; deployments/finalizers
        create delete get list patch update watch; apps extensions; replicasets
        get list update watch; core; pods
        E""",
    "disruption-controller": """
        R; apps extensions; deployments
        R; apps extensions; replicasets
        R; core; replicationcontrollers
        R; policy; poddisruptionbudgets
        R; apps; statefulsets
        update; policy; poddisruptionbudgets/status
        patch update; core; pods/status
        get; *; */scale
        E""",
    "endpoint-controller": """
        R; core; pods services
        create delete get list update watch; core; endpoints
        create; core; endpoints/restricted
        E""",
    "endpointslice-controller": """
        R; core; nodes pods services
        update; core; services/finalizers
        create delete get list update watch; discovery.k8s.io; endpointslices
        E""",
    "endpointslicemirroring-controller": """
        R; core; endpoints services
        update; core; services/finalizers
        update; core; endpoints/finalizers
        create delete get list update watch; discovery.k8s.io; endpointslices
        E""",
    "expand-controller": """
        get list patch update watch; core; persistentvolumes
        patch update; core; persistentvolumeclaims/status
        R; core; persistentvolumeclaims
        E
        get; core; services""",
    "ephemeral-volume-controller": """
        R; core; pods
        update; core; pods/finalizers
        create get list watch; core; persistentvolumeclaims
        E""",
    "resource-claim-controller": """
        R; core; pods
        update; core; pods/finalizers
        create delete get list watch; resource.k8s.io; resourceclaims
        patch update; resource.k8s.io; resourceclaims resourceclaims/status
        patch update; core; pods/status
        E""",
    "device-taint-eviction-controller": """
        delete get list watch; core; pods
        patch update; core; pods/status
        R; resource.k8s.io; resourceclaims
        R; resource.k8s.io; resourceslices
        R; resource.k8s.io; deviceclasses
        R; resource.k8s.io; devicetaintrules
        E""",
    "generic-garbage-collector": """
        delete get list patch update watch; *; *
        E""",
    "horizontal-pod-autoscaler": """
        R; autoscaling; horizontalpodautoscalers
        update; autoscaling; horizontalpodautoscalers/status
        get update; *; */scale
        list watch; core; pods
        list; metrics.k8s.io; pods
        get list; custom.metrics.k8s.io; *
        get list; external.metrics.k8s.io; *
        E""",
    "job-controller": """
        get list patch update watch; batch; jobs
        update; batch; jobs/status
        update; batch; jobs/finalizers
        create delete list patch watch; core; pods
        E""",
    "namespace-controller": """
        delete get list watch; core; namespaces
        update; core; namespaces/finalize namespaces/status
        delete deletecollection get list watch; *; *""",
    "node-controller": """
        delete get list patch update watch; core; nodes
        patch update; core; nodes/status
        patch update; core; pods/status
        delete get list watch; core; pods
        E""",
    "persistent-volume-binder": """
        create delete get list update watch; core; persistentvolumes
        update; core; persistentvolumes/status
        get list update watch; core; persistentvolumeclaims
        update; core; persistentvolumeclaims/status
        create delete get list watch; core; pods
        R; storage.k8s.io; storageclasses
        list watch; core; nodes
        E
        watch; core; events
        get; core; services""",
    "pod-garbage-collector": """
        delete list watch; core; pods
        R; core; nodes
        patch; core; pods/status""",
    "replicaset-controller": """
        get list update watch; apps extensions; replicasets
        update; apps extensions; replicasets/status
        update; apps extensions; replicasets/finalizers
        create delete list patch watch; core; pods
        E""",
    "replication-controller": """
        get list update watch; core; replicationcontrollers
        update; core; replicationcontrollers/status
        update; core; replicationcontrollers/finalizers
        create delete list patch watch; core; pods
        E""",
    "resourcequota-controller": """
        list watch; *; *
        update; core; resourcequotas/status
        E""",
    "route-controller": """
        list watch; core; nodes
        patch; core; nodes/status
        E""",
    "service-account-controller": """
        create; core; serviceaccounts
        E""",
    "service-controller": """
        R; core; services
        patch update; core; services/status
        list watch; core; nodes
        E""",
    "service-cidrs-controller": """
        get list patch update watch; networking.k8s.io; servicecidrs
        patch update; networking.k8s.io; servicecidrs/finalizers
        patch update; networking.k8s.io; servicecidrs/status
        R; networking.k8s.io; ipaddresses
        E""",
    "statefulset-controller": """
        list watch; core; pods
        R; apps; statefulsets
        update; apps; statefulsets/status
        update; apps; statefulsets/finalizers
        create delete get patch update; core; pods
        create delete get list patch update watch; apps; controllerrevisions
        create get list watch; core; persistentvolumeclaims
        delete update; core; persistentvolumeclaims
        update; core; pods/finalizers
        E""",
    "ttl-controller": """
        list patch update watch; core; nodes
        E""",
    "certificate-controller": """
        delete get list watch; certificates.k8s.io; certificatesigningrequests
        update; certificates.k8s.io; certificatesigningrequests/approval certificatesigningrequests/status
        approve; certificates.k8s.io; signers; kubernetes.io/kube-apiserver-client-kubelet
        sign; certificates.k8s.io; signers; kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet \
          kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown
        create; authorization.k8s.io; subjectaccessreviews
        E""",
    "pvc-protection-controller": """
        get list update watch; core; persistentvolumeclaims
        R; core; pods
        E""",
    "pv-protection-controller": """
        get list update watch; core; persistentvolumes
        E""",
    "volumeattributesclass-protection-controller": """
        R; core; persistentvolumeclaims
        R; core; persistentvolumes
        get list update watch; storage.k8s.io; volumeattributesclasses
        E""",
    "ttl-after-finished-controller": """
        delete get list watch; batch; jobs
        E""",
    "root-ca-cert-publisher": """
        create update; core; configmaps
        E""",
    "validatingadmissionpolicy-status-controller": """
        R; admissionregistration.k8s.io; validatingadmissionpolicies
        get patch update; admissionregistration.k8s.io; validatingadmissionpolicies/status
        E""",
    "legacy-service-account-token-cleaner": """
        get; core; configmaps; kube-apiserver-legacy-service-account-token-tracking
        delete patch; core; secrets""",
    "selinux-warning-controller": """
        E
        R; core; persistentvolumes
        R; core; persistentvolumeclaims
        R; core; pods
        R; storage.k8s.io; csidrivers""",
}

AGGREGATED = {"admin": "", "edit": "admin", "view": "edit"}  # role -> the one that it is itself a part of
PARTS = {"system:aggregate-to-admin": "admin", "system:aggregate-to-edit": "edit", "system:aggregate-to-view": "view"}
_USER, _GROUP = "User", "Group"
CLUSTER_BINDING_SUBJECTS: dict[str, tuple[tuple[str, str], ...]] = {
    "cluster-admin": ((_GROUP, "system:masters"),),
    "system:monitoring": ((_GROUP, "system:monitoring"),),
    "system:discovery": ((_GROUP, "system:authenticated"),),
    "system:basic-user": ((_GROUP, "system:authenticated"),),
    "system:public-info-viewer": ((_GROUP, "system:authenticated"), (_GROUP, "system:unauthenticated")),
    "system:node-proxier": ((_USER, "system:kube-proxy"),),
    "system:kube-controller-manager": ((_USER, "system:kube-controller-manager"),),
    "system:kube-dns": (("ServiceAccount", "kube-dns"),),
    "system:kube-scheduler": ((_USER, "system:kube-scheduler"),),
    "system:volume-scheduler": ((_USER, "system:kube-scheduler"),),
    "system:service-account-issuer-discovery": ((_GROUP, "system:serviceaccounts"),),
    "system:node": (),
}
_LOCKS = """
        create get list update watch; coordination.k8s.io; leases
        create get list update watch; coordination.k8s.io; leasecandidates"""
NAMESPACE_ROLE_RULES: dict[tuple[str, str], str] = {
    ("kube-system", "extension-apiserver-authentication-reader"): """
        R; core; configmaps; extension-apiserver-authentication""",
    ("kube-system", "system:controller:bootstrap-signer"): """
        R; core; secrets""",
    ("kube-system", "system:controller:cloud-provider"): """
        create get list watch; core; configmaps""",
    ("kube-system", "system:controller:token-cleaner"): """
        delete get list watch; core; secrets
        E""",
    ("kube-system", "system::leader-locking-kube-controller-manager"): _LOCKS,
    ("kube-system", "system::leader-locking-kube-scheduler"): _LOCKS,
    ("kube-public", "system:controller:bootstrap-signer"): """
        R; core; configmaps
        update; core; configmaps; cluster-info
        E""",
}
NAMESPACE_BINDINGS: dict[tuple[str, str], tuple[str, tuple[tuple[str, str], ...]]] = {
    ("kube-system", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer",
        (("ServiceAccount", "bootstrap-signer"),),
    ),
    ("kube-system", "system:controller:cloud-provider"): ("system:controller:cloud-provider", (("ServiceAccount", "cloud-provider"),)),
    ("kube-system", "system:controller:token-cleaner"): ("system:controller:token-cleaner", (("ServiceAccount", "token-cleaner"),)),
    ("kube-system", "system::leader-locking-kube-controller-manager"): (
        "system::leader-locking-kube-controller-manager",
        ((_USER, "system:kube-controller-manager"), ("ServiceAccount", "kube-controller-manager")),
    ),
    ("kube-system", "system::leader-locking-kube-scheduler"): (
        "system::leader-locking-kube-scheduler",
        ((_USER, "system:kube-scheduler"), ("ServiceAccount", "kube-scheduler")),
    ),
    ("kube-system", "system::extension-apiserver-authentication-reader"): (
        "extension-apiserver-authentication-reader",
        ((_USER, "system:kube-controller-manager"), (_USER, "system:kube-scheduler")),
    ),
    ("kube-public", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer",
        (("ServiceAccount", "bootstrap-signer"),),
    ),
}


def parse_rules(text: str) -> list[Object]:
    """The rules of a text: one line each."""
    return [_rule(EVENTS if line.strip() == "E" else line.strip()) for line in text.strip().splitlines()]


def _rule(line: str) -> Object:
    parts = [part.strip() for part in line.split(";")]
    verbs = [verb for word in parts[0].split() for verb in WORDS.get(word, (word,))]
    if parts[1].startswith("/:"):
        return {"verbs": verbs, "nonResourceURLs": parts[1][2:].split()}
    groups = ["" if group == "core" else group for group in parts[1].split()]
    rule: Object = {"verbs": verbs, "apiGroups": groups, "resources": parts[2].split()}
    if len(parts) > 3:
        rule["resourceNames"] = parts[3].split()
    return rule


def _metadata(name: str, namespace: str = "", **labels: str) -> Object:
    metadata: Object = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    metadata["labels"] = {"kubernetes.io/bootstrapping": "rbac-defaults", **labels}
    metadata["annotations"] = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
    return metadata


def _subject(kind: str, name: str, namespace: str = "kube-system") -> Object:
    if kind == "ServiceAccount":
        return {"kind": kind, "name": name, "namespace": namespace}
    return {"kind": kind, "apiGroup": GROUP, "name": name}


def _typed(kind: str, metadata: Object, **rest: Any) -> Object:
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, **rest}


def _binding(kind: str, role_kind: str, metadata: Object, role: str, subjects: tuple[tuple[str, str], ...], namespace: str) -> Object:
    reference = {"apiGroup": GROUP, "kind": role_kind, "name": role}
    rest = {"subjects": [_subject(*subject, namespace) for subject in subjects]} if subjects else {}
    return _typed(kind, metadata, roleRef=reference, **rest)


def policy_requests() -> Iterator[Request]:
    """The creates of all default roles and bindings, in the order of their names per kind."""
    for resource, namespace, obj in (*_cluster_objects(), *_namespace_objects()):
        request = create(resource, namespace, obj)
        request.user = USER
        yield request


def _cluster_objects() -> Iterator[tuple[str, str, Object]]:
    roles = {name: parse_rules(text) for name, text in CLUSTER_ROLE_RULES.items()}
    roles |= {f"system:controller:{name}": parse_rules(text) for name, text in CONTROLLER_RULES.items()}
    for name in sorted((*roles, *AGGREGATED)):
        labels = {}
        if AGGREGATED.get(name):
            labels = {f"{AGGREGATE}{AGGREGATED[name]}": "true"}
        elif name in PARTS:
            labels = {f"{AGGREGATE}{PARTS[name]}": "true"}
        rest: Object = {"rules": roles[name]} if name in roles else {}
        if name in AGGREGATED:
            rest["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {f"{AGGREGATE}{name}": "true"}}]}
        yield CLUSTER_ROLES, "", _typed("ClusterRole", _metadata(name, **labels), **rest)
    subjects = {**CLUSTER_BINDING_SUBJECTS, **{f"system:controller:{name}": (("ServiceAccount", name),) for name in CONTROLLER_RULES}}
    for name in sorted(subjects):
        yield CLUSTER_BINDINGS, "", _binding("ClusterRoleBinding", "ClusterRole", _metadata(name), name, subjects[name], "kube-system")


def _namespace_objects() -> Iterator[tuple[str, str, Object]]:
    for (namespace, name), text in sorted(NAMESPACE_ROLE_RULES.items()):
        yield ROLES, namespace, _typed("Role", _metadata(name, namespace), rules=parse_rules(text))
    for (namespace, name), (role, subjects) in sorted(NAMESPACE_BINDINGS.items()):
        yield BINDINGS, namespace, _binding("RoleBinding", "Role", _metadata(name, namespace), role, subjects, "kube-system")
