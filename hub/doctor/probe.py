"""The doctor's probe: a namespace with two pods, which is removed again whatever happens.

Nothing here may judge what it finds, nor touch anything outside of that namespace.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hub.backends.kubernetes.names import COLLECTIONS, Manifest, Release
from hub.backends.kubernetes.observed import Pod, trouble
from hub.doctor import judge
from hub.doctor.judge import Finding, Reached
from hub.doctor.plan import VISITED, VISITOR, Plan, plan
from hub.doctor.report import Report
from hub.kube.api import NOT_ANSWERING, Api, ApiError
from hub.kube.informer import Informer
from hub.profiles import Profile

STARTING = 300.0
"""Seconds that a pod may take to start: its image may have to be fetched."""
ANSWERING = 90.0
"""Seconds that the visitor may take once it runs; it gives up by itself well before."""
HOPELESS = ("ImageForbidden", "ImageMissing", "ImagePullFailed", "CannotStart")
"""What is told at once: it does not pass by itself, or keeps a class waiting when it does. Room may come."""
T = TypeVar("T")


async def probe(
    api: Api,
    profile: Profile,
    release: Release,
    report: Report,
    starting: float = STARTING,
    answering: float = ANSWERING,
) -> None:
    """Try what a workspace of a profile needs.

    Args:
        api: the server, as somebody with the controller's rights.
        profile: what is tried.
        release: whose image is used when the profile names none.
        report: is told of each finding.
        starting, answering: seconds, as the constants above.
    """
    name = f"podium-doctor-{secrets.token_hex(4)}"
    wanted = plan(name, profile, release, _programs(), secrets.token_bytes(32), datetime.now(UTC))
    try:
        async with _namespace(api, wanted.namespace, report):
            report.doing("Trying what a workspace consists of")
            for one in wanted.made:
                await api.call("POST", one.path, one.body)
            report.found(judge.restricted(await _refusal(api, name, wanted.privileged)))
            report.found(judge.accepted(profile.name, await _refusals(api, wanted)))
            async with _Pods(api, name) as pods:
                for finding in await _visit(api, wanted, pods, report, starting, answering):
                    report.found(finding)
    except (ApiError, *NOT_ANSWERING) as error:
        said = error.message if isinstance(error, ApiError) else repr(error)
        report.found(Finding("unknown", "Probe", f"{judge.UNKNOWN}{said}", "See the lines above."))


def _programs() -> dict[str, str]:
    """What the pods run."""
    files = {VISITED: "visited.py", VISITOR: "visitor.py"}
    return {name: Path(__file__).with_name(file).read_text() for name, file in files.items()}


@contextlib.asynccontextmanager
async def _namespace(api: Api, manifest: Manifest, report: Report) -> AsyncIterator[None]:
    """A namespace that is gone afterwards, also when it is not known whether it was made."""
    made = True
    try:
        try:
            await api.call("POST", manifest.path, manifest.body)
        except ApiError:
            made = False
            raise
        yield
    finally:
        if made:
            await _remove(api, manifest, report)


async def _remove(api: Api, manifest: Manifest, report: Report) -> None:
    report.doing(f"Removing {manifest.name}")
    try:
        await api.call("DELETE", f"{manifest.path}/{manifest.name}")
    except (ApiError, *NOT_ANSWERING) as error:
        if not (isinstance(error, ApiError) and error.status == 404):
            hint = f"kubectl delete namespace {manifest.name}"
            report.found(Finding("bad", "Probe", f"its namespace could not be removed: {error}", hint))


async def _refusals(api: Api, wanted: Plan) -> dict[str, str]:
    """What the server would refuse of a workspace, and why."""
    refusals = {
        f"{one.kind} {one.name}": await _refusal(api, wanted.namespace.name, one.body, one.path)
        for one in wanted.tried
    }
    refusals |= {
        f"the pod {body['metadata']['name']}": await _refusal(api, wanted.namespace.name, body)
        for body in wanted.pods
    }
    return {what: said for what, said in refusals.items() if said}


async def _refusal(api: Api, namespace: str, body: dict[str, Any], path: str = COLLECTIONS["Pod"]) -> str:
    """What is said of an object that is not made; nothing when it would be."""
    try:
        await api.call("POST", path.format(namespace), body, {"dryRun": "All"})
    except ApiError as error:
        return error.message or str(error)
    return ""


class _Pods:
    """The pods of the namespace, watched. To be used in an `async with` statement."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._namespace = namespace
        self._moved = asyncio.Event()
        path = COLLECTIONS["Pod"].format(namespace)
        self._informer = Informer(api, path, Pod, "", lambda before, now: self._moved.set())

    async def __aenter__(self) -> _Pods:
        self._following = asyncio.create_task(self._informer.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)

    def get(self, name: str) -> Pod | None:
        """A pod as it was last seen."""
        return self._informer.get(self._namespace, name)

    async def until(self, name: str, enough: Callable[[Pod], T | None], patience: float) -> T | None:
        """Wait for something of a pod. Returns None when it does not come.

        Args:
            enough: what is waited for, once it is there.
            patience: seconds.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while True:
                    self._moved.clear()
                    pod = self.get(name)
                    found = enough(pod) if pod else None
                    if found is not None:
                        return found
                    await self._moved.wait()
        return None


async def _visit(
    api: Api, wanted: Plan, pods: _Pods, report: Report, starting: float, answering: float
) -> list[Finding]:
    """Start the two pods, one after the other, and take what the visitor says."""
    path, title = COLLECTIONS["Pod"].format(wanted.namespace.name), f"Image {wanted.image}"
    report.doing(f"Starting a pod of {wanted.image}")
    await api.call("POST", path, wanted.visited)
    begun: str | Finding | None = await pods.until(VISITED, _begun, starting)
    if begun is None or isinstance(begun, Finding):
        return [begun or _late(pods.get(VISITED), title, starting)]
    await api.call("POST", path, wanted.visitor(begun))
    report.doing("Starting another one")
    first: str | Finding | None = await pods.until(VISITOR, _begun_or_over, starting)
    if first is None or isinstance(first, Finding):
        return [first or _late(pods.get(VISITOR), title, starting)]
    report.doing("Asking it what it reaches")
    message = await pods.until(VISITOR, _over, answering)
    if message is None:
        hint = "Where nodes are simulated, as by kwok, nothing can be told."
        text = f"{judge.UNKNOWN}a pod that should have ended long ago runs on. Do pods run here at all?"
        return [Finding("unknown", "Pods, DNS, network policies", text, hint)]
    pod = pods.get(VISITOR)
    node = pod.spec.node_name if pod else ""
    try:
        reached = msgspec.json.decode(message, type=Reached)
    except msgspec.DecodeError:
        hint = "The image has to have python, at least 3.8, on its PATH."
        return [Finding("bad", title, f"does not run a program of Python: {message[-500:].strip()}", hint)]
    good = Finding("good", title, f"is there, and runs on {node}.")
    return [good, *judge.network(reached, VISITED)]


def _begun(pod: Pod) -> str | Finding | None:
    """The address of a pod that is ready, or what keeps it from ever being so."""
    ended = pod.container.state.terminated
    if ended is not None:
        hint = "The image has to have python, at least 3.8, on its PATH."
        text = f"its program ended with exit code {ended.exit_code}: {ended.message[-500:].strip()}"
        return Finding("bad", f"Image {pod.image}", text, hint)
    ready = pod.condition("Ready")
    if ready is not None and ready.status == "True" and pod.status.pod_ip:
        return pod.status.pod_ip
    reason, message = trouble(pod, away=False)
    return Finding("bad", f"Image {pod.image}", message) if reason in HOPELESS else None


def _begun_or_over(pod: Pod) -> str | Finding | None:
    """As `_begun`, for a pod that may be done before anybody looks."""
    return "" if pod.container.state.terminated is not None else _begun(pod)


def _over(pod: Pod) -> str | None:
    ended = pod.container.state.terminated
    return None if ended is None else ended.message or f"exit code {ended.exit_code}"


def _late(pod: Pod | None, title: str, patience: float) -> Finding:
    """Why a pod did not begin in time."""
    reason, message = trouble(pod, away=False) if pod else ("", "")
    if reason:
        return Finding("bad", title, message)
    text = f"{judge.UNKNOWN}its pod did not start in {patience:.0f} s."
    return Finding("unknown", title, text, "Is the image large? Try again: it may be there by now.")
