"""Texts that are pointers in Go, so that an empty one is a value of its own; elsewhere "" is as if the field were not there.

Facts of the Go types (k8s.io/api/*/types.go) that no schema tells, by ``group.version.Type``. Numbers and booleans that are pointers
stand in ``protobuf.POINTERS``.
"""

from functools import cache

_PREFIXES = ("io.k8s.api.", "io.k8s.apiextensions-apiserver.pkg.apis.", "io.k8s.kube-aggregator.pkg.apis.", "io.k8s.apimachinery.pkg.apis.")
_RULES = ("failurePolicy", "matchPolicy")
_WEBHOOK = (*_RULES, "sideEffects")
TEXT_POINTERS: dict[str, tuple[str, ...]] = {
    "admissionregistration.v1.MatchResources": ("matchPolicy",),
    "admissionregistration.v1.MutatingAdmissionPolicySpec": ("failurePolicy",),
    "admissionregistration.v1.MutatingWebhook": (*_WEBHOOK, "reinvocationPolicy"),
    "admissionregistration.v1.NamedRuleWithOperations": ("scope",),
    "admissionregistration.v1.ParamRef": ("parameterNotFoundAction",),
    "admissionregistration.v1.RuleWithOperations": ("scope",),
    "admissionregistration.v1.ServiceReference": ("path",),
    "admissionregistration.v1.ValidatingAdmissionPolicySpec": ("failurePolicy",),
    "admissionregistration.v1.ValidatingWebhook": _WEBHOOK,
    "admissionregistration.v1.Validation": ("reason",),
    "admissionregistration.v1.WebhookClientConfig": ("url",),
    "apiextensions.v1.CustomResourceDefinitionVersion": ("deprecationWarning",),
    "apiextensions.v1.CustomResourceSubresourceScale": ("labelSelectorPath",),
    "apiextensions.v1.JSONSchemaProps": ("$ref", "x-kubernetes-list-type", "x-kubernetes-map-type"),
    "apiextensions.v1.ServiceReference": ("path",),
    "apiextensions.v1.ValidationRule": ("reason",),
    "apiextensions.v1.WebhookClientConfig": ("url",),
    "autoscaling.v2.HPAScalingRules": ("selectPolicy",),
    "batch.v1.CronJobSpec": ("timeZone",),
    "batch.v1.JobSpec": ("completionMode", "managedBy", "podReplacementPolicy"),
    "batch.v1.JobStatus": ("failedIndexes",),
    "batch.v1.PodFailurePolicyOnExitCodesRequirement": ("containerName",),
    "batch.v1.SuccessPolicyRule": ("succeededIndexes",),
    "coordination.v1.LeaseSpec": ("holderIdentity", "preferredHolder", "strategy"),
    "core.v1.AppArmorProfile": ("localhostProfile",),
    "core.v1.AzureDiskVolumeSource": ("cachingMode", "fsType", "kind"),
    "core.v1.AzureFilePersistentVolumeSource": ("secretNamespace",),
    "core.v1.CSIVolumeSource": ("fsType",),
    "core.v1.ClusterTrustBundleProjection": ("name", "signerName"),
    "core.v1.Container": ("restartPolicy",),
    "core.v1.ContainerStatus": ("stopSignal",),
    "core.v1.EndpointAddress": ("nodeName",),
    "core.v1.EndpointPort": ("appProtocol",),
    "core.v1.EphemeralContainer": ("restartPolicy",),
    "core.v1.GRPCAction": ("service",),
    "core.v1.GlusterfsPersistentVolumeSource": ("endpointsNamespace",),
    "core.v1.HostPathVolumeSource": ("type",),
    "core.v1.ISCSIPersistentVolumeSource": ("initiatorName",),
    "core.v1.ISCSIVolumeSource": ("initiatorName",),
    "core.v1.Lifecycle": ("stopSignal",),
    "core.v1.LoadBalancerIngress": ("ipMode",),
    "core.v1.LocalVolumeSource": ("fsType",),
    "core.v1.PersistentVolumeClaimSpec": ("storageClassName", "volumeAttributesClassName", "volumeMode"),
    "core.v1.PersistentVolumeClaimStatus": ("currentVolumeAttributesClassName",),
    "core.v1.PersistentVolumeSpec": ("volumeAttributesClassName", "volumeMode"),
    "core.v1.PodDNSConfigOption": ("value",),
    "core.v1.PodResourceClaim": ("resourceClaimName", "resourceClaimTemplateName"),
    "core.v1.PodResourceClaimStatus": ("resourceClaimName",),
    "core.v1.PodSchedulingGroup": ("podGroupName",),
    "core.v1.PodSecurityContext": ("fsGroupChangePolicy", "seLinuxChangePolicy", "supplementalGroupsPolicy"),
    "core.v1.PodSpec": ("hostnameOverride", "preemptionPolicy", "runtimeClassName"),
    "core.v1.PortStatus": ("error",),
    "core.v1.SeccompProfile": ("localhostProfile",),
    "core.v1.SecurityContext": ("procMount",),
    "core.v1.ServicePort": ("appProtocol",),
    "core.v1.ServiceSpec": ("internalTrafficPolicy", "ipFamilyPolicy", "loadBalancerClass", "trafficDistribution"),
    "core.v1.TopologySpreadConstraint": ("nodeAffinityPolicy", "nodeTaintsPolicy"),
    "core.v1.TypedLocalObjectReference": ("apiGroup",),
    "core.v1.TypedObjectReference": ("apiGroup", "namespace"),
    "core.v1.VolumeMount": ("mountPropagation", "recursiveReadOnly"),
    "core.v1.VolumeMountStatus": ("recursiveReadOnly",),
    "core.v1.WindowsSecurityContextOptions": ("gmsaCredentialSpec", "gmsaCredentialSpecName", "runAsUserName"),
    "discovery.v1.Endpoint": ("hostname", "nodeName", "zone"),
    "discovery.v1.EndpointPort": ("appProtocol", "name", "protocol"),
    "networking.v1.HTTPIngressPath": ("pathType",),
    "networking.v1.IngressClassParametersReference": ("apiGroup", "namespace", "scope"),
    "networking.v1.IngressPortStatus": ("error",),
    "networking.v1.IngressSpec": ("ingressClassName",),
    "networking.v1.NetworkPolicyPort": ("protocol",),
    "policy.v1.PodDisruptionBudgetSpec": ("unhealthyPodEvictionPolicy",),
    "resource.v1.Device": ("nodeName",),
    "resource.v1.DeviceAttribute": ("string", "version"),
    "resource.v1.DeviceClassSpec": ("extendedResourceName",),
    "resource.v1.DeviceConstraint": ("distinctAttribute", "matchAttribute"),
    "resource.v1.ResourceSliceSpec": ("nodeName",),
    "scheduling.v1.PriorityClass": ("preemptionPolicy",),
    "storage.v1.CSIDriverSpec": ("fsGroupPolicy",),
    "storage.v1.StorageClass": ("reclaimPolicy", "volumeBindingMode"),
    "storage.v1.VolumeAttachmentSource": ("persistentVolumeName",),
}


@cache
def text_pointers(definition: str) -> tuple[str, ...]:
    """The names of the texts of a definition ("io.k8s.api.core.v1.PodSpec") that are pointers."""
    for prefix in _PREFIXES:
        if definition.startswith(prefix):
            return TEXT_POINTERS.get(definition.removeprefix(prefix), ())
    return ()
