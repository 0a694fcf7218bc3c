"""Hypothesis strategies: small clusters with everything that plugins look at, from few values so that things collide."""

from typing import Any

from hypothesis import strategies as st

from tests.scheduler.builders import node, pod

KEYS = ("zone", "disk", "size")
VALUES = ("a", "b", "3", "12", "")
EFFECTS = ("NoSchedule", "NoExecute", "PreferNoSchedule")
IMAGES = ("app:1", "db:2", "web:latest")
EXTRA = ("ephemeral-storage", "example.com/gpu", "hugepages-2Mi")
NAMES = tuple(f"n{index}" for index in range(6))

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
taint_texts = st.builds("{}={}:{}".format, st.sampled_from(KEYS), st.sampled_from(VALUES), st.sampled_from(EFFECTS))
quantities = st.sampled_from(["0", "100m", "250m", "1", "1500m", "3"])
memories = st.sampled_from(["0", "1Mi", "123456789", "200Mi", "1Gi", "3Gi"])
image_sizes = st.sampled_from([1, 10_000_000, 40_000_000, 500_000_000, 2_000_000_000])


def nodes(name: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        node,
        name,
        cpu=st.sampled_from(["0", "1", "2", "3500m"]),
        memory=st.sampled_from(["0", "1Gi", "2Gi", "8Gi"]),
        pods=st.sampled_from(["0", "1", "3", "110"]),
        labels=labels,
        taints=st.lists(taint_texts, max_size=2),
        unschedulable=st.sampled_from([False, False, False, True]),
        images=st.dictionaries(st.sampled_from(IMAGES), image_sizes, max_size=2),
        extra=st.dictionaries(st.sampled_from(EXTRA), st.sampled_from(["1", "2", "1Gi"]), max_size=2),
    )


tolerations = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "key": st.sampled_from(("", *KEYS, "node.kubernetes.io/unschedulable")),
            "operator": st.sampled_from(["", "Exists", "Equal"]),
            "value": st.sampled_from(VALUES),
            "effect": st.sampled_from(("", *EFFECTS)),
        },
    ),
    max_size=3,
)
expressions = st.builds(
    lambda key, operator, values: {"key": key, "operator": operator, "values": values[:1] if operator in ("Gt", "Lt") else values},
    st.sampled_from(KEYS),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=2),
)
fields = st.builds(
    lambda operator, name: {"key": "metadata.name", "operator": operator, "values": [name]},
    st.sampled_from(["In", "NotIn"]),
    st.sampled_from((*NAMES, "ghost")),
)
terms = st.fixed_dictionaries(
    {"matchExpressions": st.lists(expressions, max_size=2)}, optional={"matchFields": st.lists(fields, max_size=2)}
)
node_affinities = st.fixed_dictionaries(
    {},
    optional={
        "requiredDuringSchedulingIgnoredDuringExecution": st.builds(
            lambda terms: {"nodeSelectorTerms": terms}, st.lists(terms, min_size=1, max_size=2)
        ),
        "preferredDuringSchedulingIgnoredDuringExecution": st.lists(
            st.fixed_dictionaries({"weight": st.integers(0, 100), "preference": terms}), max_size=3
        ),
    },
)
cpu_memory = st.fixed_dictionaries({}, optional={"cpu": quantities, "memory": memories})
extras = st.fixed_dictionaries({}, optional={name: st.sampled_from(["0", "1", "1Gi"]) for name in EXTRA})
ports = st.tuples(st.sampled_from(["", "0.0.0.0", "10.0.0.1", "::"]), st.sampled_from(["TCP", "UDP"]), st.sampled_from([80, 443]))
containers = st.builds(
    lambda requests, image, ports: {
        "name": "c",
        "image": image,
        "resources": {"requests": requests},
        "ports": [{"hostPort": port, "hostIP": address, "protocol": protocol} for address, protocol, port in ports],
    },
    st.builds(lambda common, extra: {**common, **extra}, cpu_memory, extras),
    st.sampled_from((*IMAGES, "web", "registry:5000/web")),
    st.lists(ports, max_size=2),
)
init_containers = st.builds(
    lambda container, policy: {**container, **policy}, containers, st.sampled_from([{}, {"restartPolicy": "Always"}])
)
pod_labels = st.dictionaries(st.sampled_from(("app", "tier")), st.sampled_from(("a", "b")), max_size=2)
selectors = st.one_of(
    st.none(),
    st.just({}),
    st.builds(lambda labels: {"matchLabels": labels}, pod_labels),
    st.builds(
        lambda key, operator: {"matchExpressions": [{"key": key, "operator": operator, "values": ["a"]}]},
        st.sampled_from(("app", "tier")),
        st.sampled_from(["In", "NotIn"]),
    ),
)
topology_keys = st.sampled_from(("zone", "disk", "kubernetes.io/hostname"))
spread_constraints = st.builds(
    lambda key, skew, when, selector, more: {
        "topologyKey": key,
        "maxSkew": skew,
        "whenUnsatisfiable": when,
        "labelSelector": selector,
        **more,
    },
    topology_keys,
    st.integers(1, 3),
    st.sampled_from(["DoNotSchedule", "ScheduleAnyway"]),
    selectors,
    st.fixed_dictionaries(
        {},
        optional={
            "minDomains": st.integers(1, 3),
            "nodeAffinityPolicy": st.sampled_from(["Honor", "Ignore"]),
            "nodeTaintsPolicy": st.sampled_from(["Honor", "Ignore"]),
            "matchLabelKeys": st.just(["tier"]),
        },
    ),
)
pod_terms = st.builds(
    lambda key, selector, more: {"topologyKey": key, "labelSelector": selector, **more},
    topology_keys,
    selectors,
    st.sampled_from([{}, {}, {"namespaces": ["default"]}, {"namespaceSelector": {}}, {"namespaceSelector": {"matchLabels": {"a": "b"}}}]),
)
weighted_terms = st.builds(lambda weight, term: {"weight": weight, "podAffinityTerm": term}, st.integers(1, 100), pod_terms)
pod_affinities = st.fixed_dictionaries(
    {},
    optional={
        "requiredDuringSchedulingIgnoredDuringExecution": st.lists(pod_terms, max_size=2),
        "preferredDuringSchedulingIgnoredDuringExecution": st.lists(weighted_terms, max_size=2),
    },
)
affinities = st.fixed_dictionaries(
    {}, optional={"nodeAffinity": node_affinities, "podAffinity": pod_affinities, "podAntiAffinity": pod_affinities}
)
specs = st.fixed_dictionaries(
    {"containers": st.lists(containers, min_size=1, max_size=2)},
    optional={
        "initContainers": st.lists(init_containers, max_size=2),
        "overhead": st.just({"cpu": "10m", "memory": "1Mi"}),
        "resources": st.builds(lambda requests: {"requests": requests}, cpu_memory),
        "tolerations": tolerations,
        "nodeSelector": labels,
        "affinity": affinities,
        "topologySpreadConstraints": st.lists(spread_constraints, max_size=2),
        "priority": st.sampled_from([0, 0, 10]),
    },
)


def pods(name: st.SearchStrategy[str], on: st.SearchStrategy[str] = st.just("")) -> st.SearchStrategy[dict[str, Any]]:  # noqa: B008
    def build(name: str, spec: dict[str, Any], on: str, labels: dict[str, str]) -> dict[str, Any]:
        return {**pod(name, labels=labels), "spec": {**spec, "nodeName": on} if on else spec}

    return st.builds(build, name, specs, on, pod_labels)


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Nodes, and Pods bound to them (and to one that is not there)."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=len(NAMES)))
    bound = draw(st.lists(st.sampled_from((*names, "ghost")), max_size=5))
    return [draw(nodes(st.just(name))) for name in names], [draw(pods(st.just(f"b{i}"), st.just(on))) for i, on in enumerate(bound)]
