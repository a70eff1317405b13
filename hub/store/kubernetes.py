"""Workspace objects as custom resources, in the namespace of the release.

What is in memory is a copy of what the API server has: a watch keeps it, and what the server answers to a
write is in it at once. Nothing here may touch anything but Workspace objects.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from hub.errors import BadInput, Conflict, NotFound, Unavailable
from hub.kube.api import JSON_PATCH, NOT_ANSWERING, Api, ApiError
from hub.kube.informer import Informer
from hub.kube.objects import Named
from hub.model import Metadata, Status, Workspace
from hub.store.base import Event
from hub.store.news import News
from hub.store.owners import Owners
from hub.wire import convert, replace

log = logging.getLogger("podium.store")

AWAY = ("The cluster does not answer at the moment.", "What runs goes on; changes have to wait.")
LAG = 2.0
"""Seconds to wait for the watch to tell of what was written; it takes some milliseconds."""
GROUP, VERSION, PLURAL = "podium.hub", "v1", "workspaces"


class _Metadata(Named, frozen=True, kw_only=True, rename="camel"):
    """What Podium reads of an object's metadata; the rest is left alone by every write."""

    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class _Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A custom resource as the API server sends it."""

    metadata: _Metadata
    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}


class KubernetesStore:
    """A store whose copy is kept by `run`, which the caller runs; reads wait until there is a first one.

    Args:
        api: the server, as somebody who may read and write Workspace objects.
        namespace: where they are.
        complete: fills in what the author of a hand-written object left out: from `spec` and the time it
            was made to the whole `spec`.
    """

    def __init__(
        self, api: Api, namespace: str, complete: Callable[[dict[str, Any], datetime], dict[str, Any]]
    ) -> None:
        self._api = api
        self.path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
        self._complete = complete
        self._objects: dict[str, Workspace] = {}
        self._unreadable: dict[str, str] = {}
        self._removed: dict[str, int] = {}
        self._owners = Owners()
        """As the watch told of them."""
        self._expected: dict[str, asyncio.Event] = {}
        self._news = News()
        self._informer = Informer(api, self.path, _Resource, "", self._moved)

    async def run(self) -> None:
        """Keep the copy until cancelled."""
        await self._informer.run()

    @property
    def away(self) -> str:
        return " ".join(AWAY) if self._informer.contact.lost else ""

    async def turned(self) -> None:
        await self._informer.contact.turned()

    async def get(self, name: str) -> Workspace | None:
        await self._informer.synced.wait()
        if name in self._unreadable:
            raise Unavailable(f"The object of {name} cannot be read: {self._unreadable[name]}")
        return self._objects.get(name)

    async def look(self, name: str) -> Workspace | None:
        await self._refresh(name)
        return await self.get(name)

    async def list(self) -> list[Workspace]:
        await self._informer.synced.wait()
        return [self._objects[name] for name in sorted(self._objects)]

    async def create(self, workspace: Workspace) -> Workspace:
        metadata = workspace.metadata
        body = {
            "apiVersion": workspace.api_version,
            "kind": workspace.kind,
            "metadata": {
                "name": metadata.name,
                "labels": dict(metadata.labels),
                "annotations": dict(metadata.annotations),
                "finalizers": list(metadata.finalizers),
            },
            "spec": plain(workspace.spec),
        }
        try:
            return await self._write("POST", self.path, workspace.name, body)
        except NotFound:
            raise Unavailable(
                "The cluster has no place for workspaces.", "Tell the operator to run `podium doctor`."
            ) from None

    async def before(self, workspace: Workspace) -> tuple[Workspace, ...]:
        own = workspace.metadata.uid
        if not self._owners.knows(workspace):
            # A watch keeps the order: once it tells of this one, nothing earlier is missing.
            came = self._expected.setdefault(own, asyncio.Event())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAG):
                    await came.wait()
            self._expected.pop(own, None)
        return self._owners.before(workspace, self._objects.values())

    async def update(self, workspace: Workspace) -> Workspace:
        metadata = workspace.metadata
        changes = {
            "/metadata/labels": dict(metadata.labels),
            "/metadata/annotations": dict(metadata.annotations),
            "/metadata/finalizers": list(metadata.finalizers),
            "/spec": plain(workspace.spec),
        }
        version = metadata.resource_version
        operations = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}]
        operations += [{"op": "add", "path": path, "value": value} for path, value in changes.items()]
        path = f"{self.path}/{workspace.name}"
        return await self._write("PATCH", path, workspace.name, operations, JSON_PATCH)

    async def update_status(self, workspace: Workspace) -> Workspace:
        # A PUT of what may be written here alone costs the server half of what a patch does.
        metadata = {"name": workspace.name, "resourceVersion": workspace.metadata.resource_version}
        body = {
            **{"apiVersion": workspace.api_version, "kind": workspace.kind, "metadata": metadata},
            **{"spec": plain(workspace.spec), "status": plain(workspace.status)},
        }
        return await self._write("PUT", f"{self.path}/{workspace.name}/status", workspace.name, body)

    async def delete(self, name: str, version: str = "") -> None:
        only = {"preconditions": {"resourceVersion": version}} if version else None
        with self._plainly(name):
            answer = await self._api.call("DELETE", f"{self.path}/{name}", only)
        present = self._objects.get(name)
        if answer.get("kind") == "Workspace":
            self._take(_read(answer))
        elif present is not None and not present.metadata.finalizers:
            self._remove(present)

    async def watch(self) -> AsyncIterator[Event]:
        await self._informer.synced.wait()
        async for event in self._news.watch(self._objects.values()):
            yield event

    async def _write(
        self, method: str, path: str, name: str, body: object, content_type: str = "application/json"
    ) -> Workspace:
        try:
            with self._plainly(name):
                answer = await self._api.call(method, path, body, content_type=content_type)
        except Conflict:
            await self._refresh(name)
            raise
        resource = _read(answer)
        workspace = self._workspace(resource)
        self._take(resource)
        return workspace

    async def _refresh(self, name: str) -> None:
        """Look at an object that turned out to be another than we know, before the watch tells of it."""
        with contextlib.suppress(NotFound), self._plainly(name):
            self._take(_read(await self._api.call("GET", f"{self.path}/{name}")))

    @contextlib.contextmanager
    def _plainly(self, name: str) -> Iterator[None]:
        """Say what goes wrong in the words that stores use."""
        try:
            with _refusals(name):
                yield
        except NOT_ANSWERING as error:
            self._informer.doubt()
            raise Unavailable(*AWAY) from error

    def _moved(self, before: _Resource | None, now: _Resource | None) -> None:
        """Take what the watch tells, which may be older than what a write was answered."""
        if now is not None:
            uid = now.metadata.uid
            new = self._owners.note(uid, str(now.spec.get("owner", "")), int(now.metadata.resource_version))
            if new and uid in self._expected:
                self._expected[uid].set()
            self._take(now)
            return
        assert before is not None
        name = before.metadata.name
        self._owners.forget(before.metadata.uid)
        self._removed.pop(name, None)
        self._unreadable.pop(name, None)
        present = self._objects.get(name)
        if present is not None and present.metadata.uid == before.metadata.uid:
            self._remove(present)
            self._removed.pop(name, None)

    def _take(self, resource: _Resource) -> None:
        name, version = resource.metadata.name, int(resource.metadata.resource_version)
        present = self._objects.get(name)
        known = int(present.metadata.resource_version) if present else self._removed.get(name, 0)
        going = resource.metadata.deletion_timestamp is not None and not resource.metadata.finalizers
        if version < known or (version == known and not going):
            return
        try:
            workspace = self._workspace(resource)
        except BadInput as error:
            log.error("the object of %s cannot be read, so nothing is done about it: %s", name, error)
            self._unreadable[name] = str(error)
            return
        self._unreadable.pop(name, None)
        if going:
            # Whoever takes the last finalizer away is answered with the object as it last was.
            if present is not None:
                self._remove(workspace)
            return
        self._objects[name] = workspace
        self._news.tell(Event(workspace))

    def _remove(self, workspace: Workspace) -> None:
        """Note that an object is gone, and how old news of it must not bring it back."""
        self._objects.pop(workspace.name, None)
        self._removed[workspace.name] = int(workspace.metadata.resource_version)
        self._news.tell(Event(workspace, gone=True))

    def _workspace(self, resource: _Resource) -> Workspace:
        """The object as everything else knows it. Raises BadInput when it is not one."""
        known = {name: getattr(resource.metadata, name) for name in Metadata.__struct_fields__}
        metadata = Metadata(**known)
        spec, status = resource.spec, resource.status
        if metadata.creation_timestamp is not None:
            spec = self._complete(spec, metadata.creation_timestamp)
        plain = {"metadata": {"name": metadata.name}, "spec": spec}
        workspace = convert(plain, Workspace)
        try:
            report = convert(status, Status)
        except BadInput:
            report = Status()  # another release's words; the controller will find its own
        return replace(workspace, metadata=metadata, status=report)


def plain(value: object) -> Any:
    """The JSON value of a part of an object, whole numbers without a fraction.

    The API server keeps 1.0 as 1, and takes who writes 1.0 again for one who changes it.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return plain(msgspec.to_builtins(value)) if isinstance(value, msgspec.Struct) else value


def _read(answer: object) -> _Resource:
    return msgspec.convert(answer, _Resource)


@contextlib.contextmanager
def _refusals(name: str) -> Iterator[None]:
    """Say refusals in the words that stores use."""
    try:
        yield
    except ApiError as error:
        if error.status == 404:
            raise NotFound(f"There is no workspace {name}.") from None
        if error.status == 409 and error.reason == "AlreadyExists":
            raise Conflict(f"There is a workspace {name} already.") from None
        if error.status == 409:
            raise Conflict(f"The workspace {name} was changed by something else.", "Try again.") from None
        if error.status in (400, 422):
            raise BadInput(error.message) from None
        raise Unavailable(f"The cluster refused: {error.message}", "Try again in a moment.") from error
