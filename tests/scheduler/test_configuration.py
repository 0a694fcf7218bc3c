"""KubeSchedulerConfiguration: what a user's plugin sets make of the defaults, and what is refused with which words."""

from typing import Any

import pytest

from kubesim.scheduler.configuration import ConfigurationError, read_configuration
from kubesim.scheduler.profile import DEFAULT_PLUGINS

Object = dict[str, Any]
SCORING = ("TaintToleration", "NodeAffinity", "NodeResourcesFit")


def document(**profile: Any) -> Object:
    return {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration", "profiles": [profile]}


def test_nothing_configured_is_the_default_profile() -> None:
    profile = read_configuration(document()).profiles[0]
    assert profile.scheduler_name == "default-scheduler"
    assert [(plugin.name, plugin.weight) for plugin in profile.plugins] == [(plugin.name, plugin.weight) for plugin in DEFAULT_PLUGINS]


@pytest.mark.parametrize(
    ("point", "first", "last"),
    [
        ({"enabled": [{"name": "ImageLocality", "weight": 9}]}, "ImageLocality", "NodeResourcesBalancedAllocation"),
        ({"disabled": [{"name": "ImageLocality"}], "enabled": [{"name": "ImageLocality"}]}, "TaintToleration", "ImageLocality"),
        ({"disabled": [{"name": "*"}], "enabled": [{"name": "NodeAffinity"}, {"name": "ImageLocality"}]}, "NodeAffinity", "ImageLocality"),
        ({"disabled": [{"name": "ImageLocality"}]}, "TaintToleration", "NodeResourcesBalancedAllocation"),
    ],
)
def test_the_order_of_an_extension_point(point: Object, first: str, last: str) -> None:
    names = read_configuration(document(plugins={"score": point})).profiles[0].points["score"]
    assert (names[0], names[-1]) == (first, last)
    assert len(names) == len(dict.fromkeys(names))


def test_a_multi_point_plugin_is_replaced_in_its_place_and_weight_zero_means_one() -> None:
    sets = {"multiPoint": {"enabled": [{"name": "NodeAffinity", "weight": 7}, {"name": "TaintToleration"}]}}
    plugins = read_configuration(document(plugins=sets)).profiles[0].plugins
    assert [plugin.name for plugin in plugins] == [plugin.name for plugin in DEFAULT_PLUGINS]
    assert {plugin.name: plugin.weight for plugin in plugins if plugin.name in SCORING} == {
        "TaintToleration": 1,
        "NodeAffinity": 7,
        "NodeResourcesFit": 1,
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "configuration: expected an object, got list"),
        ({"kind": "Pod"}, 'no kind "Pod" is registered'),
        ({"profile": []}, 'strict decoding error: unknown field "profile"'),
        ({"percentageOfNodesToScore": 101}, "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]"),
        ({"podInitialBackoffSeconds": 0}, "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"),
        ({"podMaxBackoffSeconds": 0}, "must be greater than or equal to PodInitialBackoffSeconds"),
        (document(plugins={"score": {"enabled": [{"name": "Nothing"}]}}), 'plugin "Nothing" does not exist'),
        (document(plugins={"scores": {}}), 'unknown field "profiles[0].plugins.scores"'),
        (document(plugins={"filter": {"enabled": [{"name": "NodeName"}, {"name": "NodeName"}]}}), 'plugin "NodeName" already registered'),
        (document(plugins={"score": {"enabled": [{"name": "NodeName"}]}}), 'plugin "NodeName" does not extend ScorePlugin plugin'),
        (document(plugins={"queueSort": {"disabled": [{"name": "*"}]}}), "at least one queue sort plugin is required for profile"),
        (document(plugins={"bind": {"disabled": [{"name": "DefaultBinder"}]}}), "at least one bind plugin is needed for profile"),
        (document(plugins={"score": {"enabled": [{"name": "NodeAffinity", "weight": 2**62}]}}), "has an invalid weight"),
        (document(pluginConfig=[{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 101}}]), "not in valid range [0-100]"),
        (document(pluginConfig=[{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "Best"}}}]), 'Unsupported value: "Best"'),
        (document(pluginConfig=[{"name": "PodTopologySpread", "args": {"defaultingType": "All"}}]), 'Unsupported value: "All"'),
        ({"profiles": [{}, {}]}, 'profiles[1].schedulerName: Duplicate value: "default-scheduler"'),
    ],
)
def test_what_is_wrong_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(wrong)
    assert message in str(caught.value)
