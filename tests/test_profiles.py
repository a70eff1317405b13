"""The menu: what a configuration may hold, and how its mistakes are told."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from hub.errors import ConfigurationError
from hub.profiles import msgspec_camel, read_profiles, schema
from hub.settings import Content, Resources, RoleResources, Settings

CONFIGURATION = Path(__file__).parents[1] / "podium_config.py"


def test_a_profile_may_say_next_to_nothing():
    profile = read_profiles({"bare": {}})["bare"]
    assert (profile.name, profile.title, profile.workers, profile.clusters) == ("bare", "bare", 2, {})
    assert profile.settings == Settings()


def test_a_profile_may_say_everything_with_pythons_spelling_or_the_wires():
    said = {
        "title": "Big",
        "description": "A big one.",
        "image": "example/image:1",
        "frameworks": ("dask",),
        "clusters": {"dask": {"workers": 12}},
        "workers": 3,
        "max_workers": 12,
        "resources": {"worker": {"cpu": 0.5, "memory": "2Gi"}},
        "content": [{"git": "https://example.org/a.git", "path": "b"}],
        "wall_time": 7200,
        "idleTime": 600,
        "launch_timeout": 60,
    }
    profile = read_profiles({"big": said})["big"]
    assert profile.workers == 3
    assert profile.clusters["dask"].workers == 12
    assert profile.content == (Content(git="https://example.org/a.git", path="b"),)
    assert profile.settings == Settings(
        image="example/image:1",
        frameworks=("dask",),
        max_workers=12,
        resources=RoleResources(worker=Resources(cpu=0.5, memory="2Gi")),
        wall_time=7200,
        idle_time=600,
        launch_timeout=60,
    )


@pytest.mark.parametrize(
    ("configured", "message"),
    [
        ({}, "Podium.profiles: at least one profile is needed."),
        ({"x": 3}, "Podium.profiles['x']: expected a dictionary of settings."),
        ({"x": {"worker": 3}}, "Podium.profiles['x']: object contains unknown field worker"),
        ({"x": {3: 3}}, "Podium.profiles['x']"),
        ({"x": {"workers": -1}}, "Podium.profiles['x'], workers: expected int >= 0"),
        ({"x": {"title": ""}}, "Podium.profiles['x'], title: expected str of length >= 1"),
        ({"X y": {}}, "Podium.profiles['X y'], name: expected str matching regex"),
        (
            {"x": {"resources": {"worker": {"memory": "1 GB"}}}},
            "Podium.profiles['x'], resources.worker.memory: ",
        ),
        ({"x": {"clusters": {"ray": {}}}}, "Podium.profiles['x'], clusters: invalid enum value 'ray'"),
        ({"x": {"wall_time": 59}}, "Podium.profiles['x'], wall_time: expected int >= 60"),
        (
            {"x": {"frameworks": ["dask"], "clusters": {"spark": {}}}},
            "Podium.profiles['x'], clusters.spark: not one of the profile's frameworks.",
        ),
        (
            {"x": {"clusters": {"dask": {"workers": 9}}}},
            "Podium.profiles['x'], clusters.dask.workers: 9 workers are more than max_workers, 8.",
        ),
        (
            {"x": {"clusters": {"dask": {}}, "workers": 5, "max_workers": 4}},
            "Podium.profiles['x'], workers: 5 workers are more than max_workers, 4.",
        ),
        (
            {"x": {"workers": 5, "max_workers": 4}},
            "Podium.profiles['x'], workers: 5 workers are more than max_workers, 4.",
        ),
    ],
)
def test_a_mistake_is_told_by_the_profile_and_its_setting(configured, message):
    with pytest.raises(ConfigurationError) as refused:
        read_profiles({"good": {}, **configured} if configured else {})
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize(
    ("name", "wire"),
    [("max_workers", "maxWorkers"), ("git", "git"), ("idleTime", "idleTime"), ("a__b", "aB"), (3, 3)],
)
def test_spelling(name, wire):
    assert msgspec_camel(name) == wire


def test_the_profiles_that_come_with_podium_are_good():
    c = SimpleNamespace(Podium=SimpleNamespace())
    runpy.run_path(str(CONFIGURATION), {"get_config": lambda: c})
    profiles = read_profiles(c.Podium.profiles)
    assert list(profiles) == ["workshop", "spark", "notebook"]
    assert list(profiles["workshop"].clusters) == ["dask", "ipyparallel"]


def test_the_schema_names_every_setting():
    text = str(schema())
    assert all(name in text for name in ("maxWorkers", "wallTime", "launchTimeout", "clusters"))


KUBERNETES = [
    (
        {"resources": {"worker": {"requests": {"cpu": 2}}}},
        "resources.worker.requests.cpu: 2 is more than the limit, 1.",
    ),
    (
        {"resources": {"notebook": {"memory": "1Gi", "requests": {"memory": "1025Mi"}}}},
        "resources.notebook.requests.memory: 1025Mi is more than the limit, 1Gi.",
    ),
    ({"resources": {"scheduler": {"gpu": 17}}}, "resources.scheduler.gpu: expected int <= 16"),
    ({"resources": {"scheduler": {"gpu": 0.5}}}, "resources.scheduler.gpu: expected int, got float"),
    ({"kubernetes": {"image_pull_policy": "Sometimes"}}, "kubernetes.image_pull_policy: invalid enum value"),
    (
        {"kubernetes": {"image_pull_secrets": ["A b"]}},
        "kubernetes.image_pull_secrets[0]: expected str matching",
    ),
    ({"kubernetes": {"node_selector": {"a b": "c"}}}, "kubernetes.node_selector: expected str matching"),
    ({"kubernetes": {"tolerations": [{"effect": "Never"}]}}, "kubernetes.tolerations[0].effect: invalid"),
    ({"kubernetes": {"home": {"size": "10"}}}, "kubernetes.home.size: expected str matching"),
    ({"kubernetes": {"quota": {"pods": "many"}}}, "kubernetes.quota[...]: expected str matching"),
    (
        {"kubernetes": {"pod_patch": {"driver": {}}}},
        "kubernetes.pod_patch: object contains unknown field driver",
    ),
    (
        {"kubernetes": {"shared": [{"path": "/a"}]}},
        "kubernetes.shared[0]: object missing required field name",
    ),
    (
        {"kubernetes": {"shared": [{"name": "a", "path": "/a"}]}},
        "kubernetes.shared[0]: expected either csi or claim.",
    ),
    (
        {"kubernetes": {"shared": [{"name": "a", "path": "/a", "claim": {}, "csi": {"driver": "b"}}]}},
        "kubernetes.shared[0]: expected either csi or claim.",
    ),
    (
        {
            "kubernetes": {
                "shared": [{"name": "a", "path": "/a", "claim": {}}, {"name": "a", "path": "/b", "claim": {}}]
            }
        },
        "kubernetes.shared[1].name: there is another volume 'a'.",
    ),
    *(
        (
            {"kubernetes": {"shared": [{"name": "a", "path": path, "claim": {}}]}},
            f"kubernetes.shared[0].path: {path} would hide what pods have there.",
        )
        for path in ("/home", "/home/podium", "/etc", "/scratch", "/tmp")
    ),
    (
        {
            "kubernetes": {
                "shared": [
                    {"name": "a", "path": "/a/b", "claim": {}},
                    {"name": "b", "path": "/a", "claim": {}},
                ]
            }
        },
        "kubernetes.shared[1].path: /a would hide what pods have there.",
    ),
    (
        {"kubernetes": {"network": {"allow": ["10.0.0.1/8"]}}},
        "kubernetes.network.allow: 10.0.0.1/8 has host bits set.",
    ),
    (
        {"kubernetes": {"network": {"deny": ["300.0.0.0/8"]}}},
        "kubernetes.network.deny: '300.0.0.0/8' does not appear to be an IPv4 or IPv6 network.",
    ),
    (
        {"kubernetes": {"network": {"deny": ["::/0"]}}},
        "kubernetes.network.deny: ::/0 is everything; say it with internet, False.",
    ),
]


@pytest.mark.parametrize(("said", "message"), KUBERNETES)
def test_a_mistake_in_what_is_for_kubernetes_is_told_as_any_other(said, message):
    with pytest.raises(ConfigurationError) as refused:
        read_profiles({"x": said})
    assert refused.value.message.startswith(f"Podium.profiles['x'], {message}")


def test_what_fits_is_taken_to_the_bound():
    said = {
        "resources": {"worker": {"cpu": 2, "memory": "1Gi", "requests": {"cpu": 2, "memory": "1024Mi"}}},
        "kubernetes": {
            "network": {"allow": ["0.0.0.0/0", "10.0.0.0/8"], "deny": ["2001:db8::/32"]},
            "shared": [{"name": "a", "path": "/home/podium/a", "claim": {}}],
        },
    }
    profile = read_profiles({"x": said})["x"]
    assert profile.resources.worker.requested == (2, "1024Mi")
    assert profile.settings.kubernetes.network.deny == ("2001:db8::/32",)


def test_names_that_are_not_podiums_are_left_as_they_are():
    said = {
        "node_selector": {"my_pool": "a_b"},
        "quota": {"count/my_things": "1"},
        "service_account": {"annotations": {"my_role": "x"}},
        "shared": [{"name": "a", "path": "/a", "csi": {"driver": "d", "attributes": {"sub_dir": "x"}}}],
        "pod_patch": {"worker": {"metadata": {"labels": {"my_label": "x"}}}},
        "image_pull_policy": "Never",
    }
    own = read_profiles({"x": {"kubernetes": said}})["x"].kubernetes
    assert own.node_selector == {"my_pool": "a_b"}
    assert own.quota == {"count/my_things": "1"}
    assert own.service_account.annotations == {"my_role": "x"}
    assert own.shared[0].csi.attributes == {"sub_dir": "x"}
    assert own.pod_patch.worker == {"metadata": {"labels": {"my_label": "x"}}}
    assert own.image_pull_policy == "Never"
