"""Pods: what references stand for in them, what a profile decides, and what a patch may do."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.backends.kubernetes.pods import cores, escaped, files, patched, pod
from hub.settings import FRAMEWORKS, Resources, Settings
from hub.wire import convert, merge_patch
from hub.workload import LEAVE, Probe, Workload
from tests.builders import NAME, make_workspace
from tests.namespaces import RELEASE, WORKSPACES, pods, workloads

IP = "10.1.0.7"


BARE = Workload("dask-worker", "worker", "dask", ("run",))


def made(workload: Workload = BARE, **settings: Any) -> dict[str, Any]:
    """The third pod of a workload, with what its profile says in the wire's spelling."""
    return pod(NAME, workload, f"{workload.name}-3", convert(settings, Settings), RELEASE, "files-1")


def container(workload: Workload = BARE, **settings: Any) -> dict[str, Any]:
    """The one container of such a pod."""
    [one] = made(workload, **settings)["spec"]["containers"]
    return one


def expanded(text: str, variables: dict[str, str]) -> str:
    """What Kubernetes makes of a command or a variable.

    Source: `Expand` and `tryReadVariableName`, third_party/forked/golang/expansion/expand.go.
    """
    result, place = [], 0
    while place < len(text):
        if text[place] != "$" or place + 1 == len(text):
            result.append(text[place])
            place += 1
        elif text[place + 1] == "$":
            result.append("$")
            place += 2
        elif text[place + 1] == "(" and ")" in text[place + 2 :]:
            end = text.index(")", place)
            name = text[place + 2 : end]
            result.append(variables.get(name, f"$({name})"))
            place = end + 1
        else:
            result.append(text[place : place + 2])
            place += 2
    return "".join(result)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("@{home}/x", "/home/podium/x"),
        ("@{scratch}", "/scratch"),
        ("@{files}/token", "/etc/podium/token"),
        ("@{instance}", "dask-worker-3"),
        ("tls://@{host}:1", f"tls://{IP}:1"),
        ("@{dask-scheduler.host}:@{dask-scheduler.comm}", "dask-scheduler:8786"),
        ("@{spark-scheduler.host}:@{spark-scheduler.rpc}", "spark-scheduler:7077"),
        ("@{dask-worker.own}", "4321"),
        ("@{ipyparallel-scheduler.registration}", "10101"),
        ("$(POD_IP) $$ $ $(date) $HOME $$(x)", "$(POD_IP) $$ $ $(date) $HOME $$(x)"),
    ],
)
def test_what_was_written_is_what_the_program_reads(written, read):
    workload = Workload(
        "dask-worker", "worker", "dask", ("run", written), {"E": written}, ports={"own": 4321}
    )
    one = container(workload)
    env = {variable["name"]: variable.get("value", "") for variable in one["env"]}
    assert [expanded(part, {"POD_IP": IP}) for part in one["args"]] == ["run", read]
    assert expanded(env["E"], {"POD_IP": IP}) == read


@given(st.text(alphabet="$()aPOD_IP x"))
def test_no_text_is_changed_by_kubernetes(text):
    assert expanded(escaped(text), {"POD_IP": IP, "a": "b", "": "c"}) == text


def test_the_address_is_known_before_what_is_made_from_it():
    first = container()["env"][0]
    assert first == {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


def test_a_workload_may_say_otherwise_than_the_usual_variables():
    workload = replace(BARE, env={"TMPDIR": "/home/podium/tmp"})
    values = [variable for variable in container(workload)["env"] if variable["name"] == "TMPDIR"]
    assert values == [{"name": "TMPDIR", "value": "/home/podium/tmp"}]


@pytest.mark.parametrize("reference", ["host", "instance"])
def test_files_that_all_instances_share_hold_nothing_of_one_instance(reference):
    with pytest.raises(KeyError):
        files(replace(BARE, files={"a": f"@{{{reference}}}"}))


@pytest.mark.parametrize("kind", WORKSPACES)
def test_what_kubernetes_does_not_fill_in_needs_nothing_filled_in(kind):
    """It fills in commands and variables, but neither files nor what is run before the end."""
    for workload, body in zip(workloads(WORKSPACES[kind]), pods(WORKSPACES[kind]), strict=True):
        [one] = body["spec"]["containers"]
        texts = [*files(workload).values(), json.dumps(one.get("lifecycle", {}))]
        assert not [text for text in texts if "$(POD_IP)" in text or "@{" in text]
        assert "@{" not in json.dumps(body)


def test_a_pod_is_found_by_what_it_is():
    workspace = make_workspace(clusters={"dask": None})
    labels = {body["metadata"]["name"]: body["metadata"]["labels"] for body in pods(workspace)}
    own = {
        name: tuple(found.get(f"podium.hub/{label}") for label in ("workload", "role", "cluster"))
        for name, found in labels.items()
    }
    assert own == {
        "notebook": ("notebook", "notebook", None),
        "dask-scheduler": ("dask-scheduler", "scheduler", "dask"),
        "dask-worker-1": ("dask-worker", "worker", "dask"),
    }


PROBES = [
    (None, None),
    (Probe("http", "/x/api"), {"httpGet": {"path": "/x/api", "port": 80}}),
    (Probe("http"), {"tcpSocket": {"port": 80}}),
]


@pytest.mark.parametrize(("probe", "how"), PROBES)
def test_readiness_is_asked_for_as_the_workload_says(probe, how):
    one = container(replace(BARE, ports={"http": 80, "other": 81}, probe=probe))
    assert (one.get("readinessProbe") or {}).items() >= (how or {}).items()
    assert ("readinessProbe" in one) == (probe is not None)
    declared = [{"name": "http", "containerPort": 80, "protocol": "TCP"}]
    assert one.get("ports", []) == (declared if probe else []), "the network policy knows it by its name"


def test_what_is_to_be_handed_over_is_so_before_the_end():
    leaving = Workload(
        "dask-worker", "worker", "dask", ("run",), grace=7, leave=("leave", "@{instance}", "$x")
    )
    body = made(leaving)
    assert body["spec"]["terminationGracePeriodSeconds"] == 7 + LEAVE
    command = body["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert command == ["leave", "dask-worker-3", "$x"], "which Kubernetes takes as it is"
    bare = made(replace(BARE, grace=7))
    assert bare["spec"]["terminationGracePeriodSeconds"] == 7
    assert "lifecycle" not in bare["spec"]["containers"][0]


def test_a_workload_without_files_has_no_folder_of_files():
    body = made()
    assert "files" not in {volume["name"] for volume in body["spec"]["volumes"]}
    assert "files" not in {mount["name"] for mount in body["spec"]["containers"][0]["volumeMounts"]}


@pytest.mark.parametrize(
    ("resources", "limits", "requests"),
    [
        ({}, {"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"}),
        (
            {"cpu": 0.5, "memory": "300Mi"},
            {"cpu": "500m", "memory": "300Mi"},
            {"cpu": "500m", "memory": "300Mi"},
        ),
        ({"requests": {"cpu": 0.25}}, {"cpu": "1", "memory": "1Gi"}, {"cpu": "250m", "memory": "1Gi"}),
        ({"requests": {"memory": "1Mi"}}, {"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Mi"}),
        (
            {"gpu": 2},
            {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "2"},
            {"cpu": "1", "memory": "1Gi"},
        ),
    ],
)
def test_what_a_role_may_use_and_what_is_set_aside(resources, limits, requests):
    workload = replace(BARE, resources=convert(resources, Resources))
    assert container(workload)["resources"] == {"limits": limits, "requests": requests}


@pytest.mark.parametrize(
    ("number", "quantity"),
    [(1, "1"), (2.0, "2"), (0.1, "100m"), (1.2345, "1234m"), (0.0001, "1m"), (0.3, "300m")],
)
def test_cores_are_told_in_thousandths(number, quantity):
    assert cores(number) == quantity


CSI = {"driver": "x", "attributes": {"a": "b"}}
# What a profile says, and where in the pod it is.
LANDS: list[tuple[dict[str, Any], tuple[Any, ...], Any]] = [
    ({"image": "a/b:1"}, ("containers", 0, "image"), "a/b:1"),
    ({}, ("containers", 0, "image"), RELEASE.image),
    ({"kubernetes": {"imagePullPolicy": "Never"}}, ("containers", 0, "imagePullPolicy"), "Never"),
    ({"kubernetes": {"imagePullSecrets": ["a", "b"]}}, ("imagePullSecrets",), [{"name": "a"}, {"name": "b"}]),
    ({"kubernetes": {"nodeSelector": {"pool": "a"}}}, ("nodeSelector",), {"pool": "a"}),
    (
        {"kubernetes": {"tolerations": [{"operator": "Exists"}]}},
        ("tolerations",),
        [{"operator": "Exists"}],
    ),
    (
        {"kubernetes": {"tolerations": [{"key": "a", "tolerationSeconds": 0, "effect": "NoExecute"}]}},
        ("tolerations",),
        [{"key": "a", "operator": "Equal", "effect": "NoExecute", "tolerationSeconds": 0}],
    ),
    ({"kubernetes": {"priorityClass": "high"}}, ("priorityClassName",), "high"),
    ({}, ("serviceAccountName",), "workspace"),
    ({"kubernetes": {"serviceAccount": {"name": "student"}}}, ("serviceAccountName",), "student"),
    (
        {"kubernetes": {"shared": [{"name": "d", "path": "/d", "claim": {}}]}},
        ("volumes", 2),
        {"name": "shared-d", "persistentVolumeClaim": {"claimName": "shared-d", "readOnly": True}},
    ),
    (
        {
            "kubernetes": {
                "shared": [{"name": "d", "path": "/d", "csi": {"driver": "x", "attributes": {"a": "b"}}}]
            }
        },
        ("volumes", 2),
        {"name": "shared-d", "csi": {"driver": "x", "readOnly": True, "volumeAttributes": {"a": "b"}}},
    ),
    (
        {"kubernetes": {"shared": [{"name": "d", "path": "/d", "csi": {"driver": "x"}}]}},
        ("containers", 0, "volumeMounts", 3),
        {"name": "shared-d", "mountPath": "/d", "readOnly": True},
    ),
    (
        {
            "kubernetes": {
                "podPatch": {"worker": {"spec": {"hostname": "x"}}, "notebook": {"spec": {"hostname": "y"}}}
            }
        },
        ("hostname",),
        "x",
    ),
]


@pytest.mark.parametrize(("settings", "path", "value"), LANDS)
def test_what_a_profile_says_lands_in_the_pod(settings, path, value):
    found: Any = made(**settings)["spec"]
    for step in path:
        found = found[step]
    assert found == value


def test_what_a_profile_does_not_say_is_not_in_the_pod():
    assert not made()["spec"].keys() & {
        "imagePullSecrets",
        "nodeSelector",
        "tolerations",
        "priorityClassName",
    }


@pytest.mark.parametrize(("home", "kept"), [(None, False), ({"size": "1Gi"}, True)])
def test_the_notebooks_home_alone_is_kept(home, kept):
    workspace = make_workspace(
        clusters=dict.fromkeys(FRAMEWORKS), settings=convert({"kubernetes": {"home": home}}, Settings)
    )
    claimed = {
        body["metadata"]["name"]
        for body in pods(workspace)
        for volume in body["spec"]["volumes"]
        if volume["name"] == "home" and volume.get("persistentVolumeClaim") == {"claimName": "home"}
    }
    assert claimed == ({"notebook"} if kept else set())


PATCHES: list[tuple[Any, Any, Any]] = [
    # Named things are merged by name …
    (
        {"containers": [{"name": "main", "args": ["run"]}]},
        {"containers": [{"name": "main", "tty": True}]},
        {"containers": [{"name": "main", "args": ["run"], "tty": True}]},
    ),
    # … and new ones come after the others,
    ({"env": [{"name": "A"}]}, {"env": [{"name": "B"}]}, {"env": [{"name": "A"}, {"name": "B"}]}),
    ({}, {"env": [{"name": "B", "value": None}]}, {"env": [{"name": "B", "value": None}]}),
    ({"env": []}, {"env": [{"name": "B", "value": None}]}, {"env": [{"name": "B"}]}),
    (
        {"env": [{"name": "A"}]},
        {"env": ({"name": "A", "value": "1"},)},
        {"env": [{"name": "A", "value": "1"}]},
    ),
    # a volume may be mounted twice, so mounts are told apart by where they are;
    (
        {"volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/b"}]},
        {"volumeMounts": [{"name": "c", "mountPath": "/b"}]},
        {"volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "c", "mountPath": "/b"}]},
    ),
    # lists of other things are replaced.
    ({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["c"]}),
    ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
    ({"volumes": [{"name": "a", "emptyDir": {}}]}, {"volumes": None}, {}),
]


@pytest.mark.parametrize(("target", "patch", "result"), PATCHES)
def test_a_patch_knows_named_things(target, patch, result):
    before = json.dumps([target, patch])
    assert patched(target, patch) == result
    assert json.dumps([target, patch]) == before, "neither argument is changed"


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.sampled_from(["name", "a", "b"]), inner, max_size=3),
    max_leaves=12,
)


@given(JSON, JSON)
def test_without_lists_a_patch_is_a_merge_patch(target, patch):
    assert patched(target, patch) == merge_patch(target, patch)


def test_every_pod_is_held_to_the_least_rights():
    for workspace in WORKSPACES.values():
        for body in pods(workspace):
            spec = body["spec"]
            [one] = spec["containers"]
            assert not spec["automountServiceAccountToken"]
            assert not spec["enableServiceLinks"]
            assert spec["securityContext"]["runAsNonRoot"]
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            writable = {mount["mountPath"] for mount in one["volumeMounts"] if not mount.get("readOnly")}
            assert writable == {"/home/podium", "/scratch", "/tmp"}


def test_no_secret_is_in_a_pod_itself():
    """Who may see pods may not see what is in them."""
    for workspace in WORKSPACES.values():
        texts = {text for workload in workloads(workspace) for text in files(workload).values()}
        secrets = [
            text for text in texts if re.fullmatch(r"[A-Za-z0-9_.=-]{20,}", text) or "PRIVATE KEY" in text
        ]
        assert secrets
        shown = json.dumps(pods(workspace))
        assert not [secret for secret in secrets if secret in shown or json.dumps(secret)[1:-1] in shown]
