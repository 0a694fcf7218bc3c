"""The values that fields of upstream's enumerated types can have, for the OpenAPI documents and ``kubectl explain``.

The published schema says of these fields only that they are strings; which are enumerated stands in the comments of upstream's types
(``+enum`` in k8s.io/api/*/v1/types.go). Validation does not read this table: what a kind allows is the kind's own.
"""

_SIGNALS = (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT RTMAX RTMIN SEGV STKFLT STOP SYS TERM TRAP TSTP "
    "TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ"
)
_STOP_SIGNALS = sorted((
    *(f"SIG{name}" for name in _SIGNALS.split(" ")),
    *(f"SIGRTMIN+{number}" for number in range(1, 16)),
    *(f"SIGRTMAX-{number}" for number in range(1, 15)),
))  # fmt: skip
_CORE, _APPS, _BATCH, _HPA = "io.k8s.api.core.v1.", "io.k8s.api.apps.v1.", "io.k8s.api.batch.v1.", "io.k8s.api.autoscaling.v2."
_ADMISSION, _POLICY, _STORAGE = "io.k8s.api.admissionregistration.v1.", "io.k8s.api.policy.v1.", "io.k8s.api.storage.v1."
_PULL, _PROTOCOLS = "Always IfNotPresent Never", "SCTP TCP UDP"
_TERMINATION, _HONOR = "FallbackToLogsOnError File", "Honor Ignore"
_TAINT, _PREEMPTION = "NoExecute NoSchedule PreferNoSchedule", "Never PreemptLowerPriority"
_LOCALITY, _MODES = "Cluster Local", "Block Filesystem"
_SECURITY, _FAILURE = "Localhost RuntimeDefault Unconfined", "Fail Ignore"
_METRICS = "ContainerResource External Object Pods Resource"
_RETENTION = "Delete Retain"

_WORDS = {
    **{f"{_CORE}{kind}.imagePullPolicy": _PULL for kind in ("Container", "EphemeralContainer")},
    **{f"{_CORE}{kind}.terminationMessagePolicy": _TERMINATION for kind in ("Container", "EphemeralContainer")},
    **{f"{_CORE}{kind}.protocol": _PROTOCOLS for kind in ("ContainerPort", "ServicePort", "EndpointPort", "PortStatus")},
    **{f"{_CORE}{kind}.stopSignal": " ".join(_STOP_SIGNALS) for kind in ("Lifecycle", "ContainerStatus")},
    **{f"{_CORE}{kind}.type": _SECURITY for kind in ("AppArmorProfile", "SeccompProfile")},
    **{f"{_CORE}{kind}.volumeMode": _MODES for kind in ("PersistentVolumeClaimSpec", "PersistentVolumeSpec")},
    **{f"{_CORE}TopologySpreadConstraint.{name}": _HONOR for name in ("nodeAffinityPolicy", "nodeTaintsPolicy")},
    **{f"{_CORE}{kind}.effect": _TAINT for kind in ("Taint", "Toleration")},
    **{f"{_ADMISSION}{kind}.failurePolicy": _FAILURE for kind in (
        "MutatingAdmissionPolicySpec", "MutatingWebhook", "ValidatingAdmissionPolicySpec", "ValidatingWebhook")},
    **{f"{_ADMISSION}{kind}.matchPolicy": "Equivalent Exact" for kind in ("MatchResources", "MutatingWebhook", "ValidatingWebhook")},
    **{f"{_ADMISSION}{kind}.reinvocationPolicy": "IfNeeded Never" for kind in ("MutatingAdmissionPolicySpec", "MutatingWebhook")},
    **{f"{_ADMISSION}{kind}.sideEffects": "None NoneOnDryRun Some Unknown" for kind in ("MutatingWebhook", "ValidatingWebhook")},
    **{f"{_ADMISSION}{kind}.scope": "* Cluster Namespaced" for kind in ("NamedRuleWithOperations", "RuleWithOperations")},
    **{f"{_APPS}StatefulSetPersistentVolumeClaimRetentionPolicy.{name}": _RETENTION for name in ("whenDeleted", "whenScaled")},
    **{f"{_HPA}{kind}.type": _METRICS for kind in ("MetricSpec", "MetricStatus")},
    f"{_CORE}AzureDiskVolumeSource.cachingMode": "None ReadOnly ReadWrite",
    f"{_CORE}AzureDiskVolumeSource.kind": "Dedicated Managed Shared",
    f"{_CORE}HTTPGetAction.scheme": "HTTP HTTPS",
    f"{_CORE}ImageVolumeSource.pullPolicy": _PULL,
    f"{_CORE}NamespaceStatus.phase": "Active Terminating",
    f"{_CORE}NodeSelectorRequirement.operator": "DoesNotExist Exists Gt In Lt NotIn",
    f"{_CORE}NodeStatus.phase": "Pending Running Terminated",
    f"{_CORE}PersistentVolumeClaimStatus.phase": "Bound Lost Pending",
    f"{_CORE}PersistentVolumeSpec.persistentVolumeReclaimPolicy": "Delete Recycle Retain",
    f"{_CORE}PersistentVolumeStatus.phase": "Available Bound Failed Pending Released",
    f"{_CORE}PodSecurityContext.fsGroupChangePolicy": "Always OnRootMismatch",
    f"{_CORE}PodSecurityContext.supplementalGroupsPolicy": "Merge Strict",
    f"{_CORE}PodSpec.dnsPolicy": "ClusterFirst ClusterFirstWithHostNet Default None",
    f"{_CORE}PodSpec.preemptionPolicy": _PREEMPTION,
    f"{_CORE}PodSpec.restartPolicy": "Always Never OnFailure",
    f"{_CORE}PodStatus.phase": "Failed Pending Running Succeeded Unknown",
    f"{_CORE}PodStatus.qosClass": "BestEffort Burstable Guaranteed",
    f"{_CORE}ScopedResourceSelectorRequirement.operator": "DoesNotExist Exists In NotIn",
    f"{_CORE}ScopedResourceSelectorRequirement.scopeName":
        "BestEffort CrossNamespacePodAffinity NotBestEffort NotTerminating PriorityClass Terminating VolumeAttributesClass",
    f"{_CORE}SecurityContext.procMount": "Default Unmasked",
    f"{_CORE}ServiceSpec.externalTrafficPolicy": _LOCALITY,
    f"{_CORE}ServiceSpec.internalTrafficPolicy": _LOCALITY,
    f"{_CORE}ServiceSpec.ipFamilyPolicy": "PreferDualStack RequireDualStack SingleStack",
    f"{_CORE}ServiceSpec.sessionAffinity": "ClientIP None",
    f"{_CORE}ServiceSpec.type": "ClusterIP ExternalName LoadBalancer NodePort",
    f"{_CORE}Toleration.operator": "Equal Exists Gt Lt",
    f"{_CORE}TopologySpreadConstraint.whenUnsatisfiable": "DoNotSchedule ScheduleAnyway",
    f"{_CORE}VolumeMount.mountPropagation": "Bidirectional HostToContainer None",
    f"{_APPS}DaemonSetUpdateStrategy.type": "OnDelete RollingUpdate",
    f"{_APPS}DeploymentStrategy.type": "Recreate RollingUpdate",
    f"{_APPS}StatefulSetSpec.podManagementPolicy": "OrderedReady Parallel",
    f"{_APPS}StatefulSetUpdateStrategy.type": "OnDelete RollingUpdate",
    f"{_BATCH}CronJobSpec.concurrencyPolicy": "Allow Forbid Replace",
    f"{_BATCH}JobSpec.completionMode": "Indexed NonIndexed",
    f"{_BATCH}JobSpec.podReplacementPolicy": "Failed TerminatingOrFailed",
    f"{_BATCH}PodFailurePolicyOnExitCodesRequirement.operator": "In NotIn",
    f"{_BATCH}PodFailurePolicyRule.action": "Count FailIndex FailJob Ignore",
    f"{_HPA}HPAScalingRules.selectPolicy": "Disabled Max Min",
    f"{_ADMISSION}Mutation.patchType": "ApplyConfiguration JSONPatch",
    f"{_POLICY}PodDisruptionBudgetSpec.unhealthyPodEvictionPolicy": "AlwaysAllow IfHealthyBudget",
    f"{_STORAGE}StorageClass.reclaimPolicy": "Delete Recycle Retain",
    f"{_STORAGE}StorageClass.volumeBindingMode": "Immediate WaitForFirstConsumer",
    "io.k8s.api.discovery.v1.EndpointSlice.addressType": "FQDN IPv4 IPv6",
    "io.k8s.api.networking.v1.HTTPIngressPath.pathType": "Exact ImplementationSpecific Prefix",
    "io.k8s.api.networking.v1.NetworkPolicyPort.protocol": _PROTOCOLS,
    "io.k8s.api.scheduling.v1.PriorityClass.preemptionPolicy": _PREEMPTION,
}  # fmt: skip
_HOST_PATHS = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_VALUES = {field: tuple(words.split(" ")) for field, words in _WORDS.items()} | {f"{_CORE}HostPathVolumeSource.type": _HOST_PATHS}


def values_of(definition: str, field: str) -> tuple[str, ...]:
    """The values of a field of a definition, sorted; none when it is not enumerated."""
    return _VALUES.get(f"{definition}.{field}", ())
