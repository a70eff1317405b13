"""The doctor's checks, one after the other: what is asked of the API server. `judge.py` says what it means.

Nothing here may change anything; only `probe.py` does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from hub.backends.kubernetes.names import Release
from hub.doctor import judge, rights
from hub.doctor.judge import UNKNOWN, Finding
from hub.doctor.machines import machines
from hub.doctor.probe import ANSWERING, STARTING, probe
from hub.doctor.report import Report
from hub.doctor.rights import Right
from hub.kube.api import NOT_ANSWERING, Api, ApiError
from hub.preflight.cluster import classes, machine
from hub.profiles import Profile
from hub.store import crd

CUSTOM_RESOURCES = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SERVED = "/apis/podium.hub/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


async def examine(
    api: Api,
    menu: Mapping[str, Profile],
    profile: Profile,
    release: Release,
    report: Report,
    starting: float = STARTING,
    answering: float = ANSWERING,
) -> None:
    """Make every check.

    Args:
        api: the server.
        menu: all profiles.
        profile: the one that is tried.
        release: the installation.
        report: is told of each finding when its check ends.
        starting, answering: as of `probe`.
    """
    report.doing("Asking the API server")
    try:
        report.found(judge.version(str((await api.call("GET", "/version"))["gitVersion"])))
    except (ApiError, *NOT_ANSWERING) as error:
        hint = "Look at KUBECONFIG, and whether kubectl get nodes works with it."
        report.found(Finding("bad", "API server", f"does not answer: {error!r}", hint))
        return
    checks = (
        ("Rights", _rights(api, release)),
        ("Workspaces", _custom_resource(api)),
        ("Namespace", _release_namespace(api, release)),
        ("Nodes", _machines(api, profile)),
        ("Storage", _storage(api, menu)),
    )
    for title, check in checks:
        report.doing(f"Looking at: {title}")
        try:
            report.found(await check)
        except (ApiError, *NOT_ANSWERING) as error:
            said = error.message if isinstance(error, ApiError) else repr(error)
            report.found(Finding("unknown", title, f"{UNKNOWN}{said}"))
    await probe(api, profile, release, report, starting, answering)


async def _rights(api: Api, release: Release) -> Finding:
    wanted = list(rights.controller(release.name, release.namespace))
    allowed = await asyncio.gather(*(_may(api, right) for right in wanted))
    missing = [right for right, may in zip(wanted, allowed, strict=True) if not may]
    return judge.rights(missing, len(wanted))


async def _may(api: Api, right: Right) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": right.attributes},
    }
    return bool((await api.call("POST", REVIEWS, review))["status"].get("allowed"))


async def _custom_resource(api: Api) -> Finding:
    """How Workspaces are defined, and the Room, which come together."""
    wanted = [json.loads(json.dumps(one)) for one in (crd.room_crd(), crd.crd())]
    try:
        found = [await _found(api, f"{CUSTOM_RESOURCES}/{one['metadata']['name']}") for one in wanted]
    except ApiError:
        # The controller may not read definitions, but everybody may know which there are.
        if await _found(api, SERVED) is not None:
            raise
        found = [None, None]
    findings = [judge.custom_resource(one, ours) for one, ours in zip(found, wanted, strict=True)]
    return next((finding for finding in findings if finding.level != "good"), findings[-1])


async def _release_namespace(api: Api, release: Release) -> Finding:
    found = await _found(api, f"/api/v1/namespaces/{release.namespace}")
    return judge.release_namespace(release.namespace, found is not None)


async def _found(api: Api, path: str) -> Any:
    """An object, or None when there is none."""
    try:
        return await api.call("GET", path)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


async def _machines(api: Api, profile: Profile) -> Finding:
    nodes = (await api.call("GET", "/api/v1/nodes"))["items"]
    return machines([machine(node) for node in nodes], profile.settings)


async def _storage(api: Api, menu: Mapping[str, Profile]) -> Finding:
    wanted = judge.claimed(list(menu.values()))
    if not wanted:
        return judge.storage({}, wanted)
    return judge.storage(await classes(api), wanted)
