"""What people may ask for: checks on launches and changes, before anything is written.

Every refusal names the field and the bound. Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Container, Mapping
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from hub.errors import BadInput, Conflict, Forbidden
from hub.model import FINALIZER, ClusterSpec, Metadata, Spec, Workspace
from hub.profiles import Profile
from hub.settings import Content, Count, FrameworkName
from hub.wire import Wire, convert, merge_patch, plain_object, replace

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
MOST_ENDING = 16
CHANGEABLE = ("clusters", "expires", "helpWanted", "restartedAt", "workers")
BY_INSTRUCTORS = (*CHANGEABLE, "queuedAt")
QUIET = {"helpWanted", "queuedAt"}
"""What an instructor changes of somebody else's without that somebody being there."""


class LaunchSpec(Wire, frozen=True, kw_only=True):
    """What a person may choose at launch; what is left out comes from the profile."""

    profile: Annotated[str, Meta(max_length=63)]
    workers: Count | UnsetType = UNSET
    clusters: dict[FrameworkName, ClusterSpec] | UnsetType = UNSET
    content: Annotated[tuple[Content, ...], Meta(max_length=8)] | UnsetType = UNSET


class Launch(Wire, frozen=True, kw_only=True):
    """The body of a launch."""

    spec: LaunchSpec


class Changes(Wire, frozen=True, kw_only=True):
    """What of a spec a person may change; a place in line only an instructor."""

    workers: Count
    clusters: dict[FrameworkName, ClusterSpec]
    expires: datetime
    help_wanted: datetime | None = None
    restarted_at: datetime | None = None
    queued_at: datetime | None = None


def workspace_name(hub_key: bytes, owner: str, attempt: int) -> str:
    """The name of a person's workspace, the same wherever and however often it is asked for.

    So ten clicks at once, on any number of web processes, meet at one object.

    Args:
        attempt: counts up past names that are taken by a workspace that has ended or is ending.
    """
    digest = hmac.new(hub_key, f"name/{owner}/{attempt}".encode(), hashlib.sha256).digest()
    number = int.from_bytes(digest, "big")
    letters = []
    for _ in range(8):
        number, index = divmod(number, len(LETTERS))
        letters.append(LETTERS[index])
    return "cluster-" + "".join(letters)


def names(hub_key: bytes, owner: str) -> set[str]:
    """The names that a person's workspaces may have, but for one who launches without end."""
    return {workspace_name(hub_key, owner, attempt) for attempt in range(MOST_ENDING)}


def launch(body: object, profiles: Mapping[str, Profile], owner: str, name: str, now: datetime) -> Workspace:
    """The Workspace object for a launch.

    Args:
        body: the JSON that was sent: `{"spec": {"profile": …}}`.
        profiles: what is on the menu.
        owner: who launches.
        name: the new workspace's name.
        now: the time, with a zone.

    Raises:
        BadInput: naming the field.
    """
    asked = convert(body, Launch).spec
    profile = profiles.get(asked.profile)
    if profile is None:
        raise BadInput(
            f"spec.profile: there is no profile {asked.profile!r}.", f"Choose one of: {', '.join(profiles)}."
        )
    spec = Spec(
        owner=owner,
        profile=profile.name,
        workers=profile.workers if asked.workers is UNSET else asked.workers,
        clusters=profile.clusters if asked.clusters is UNSET else asked.clusters,
        content=profile.content if asked.content is UNSET else asked.content,
        expires=now + timedelta(seconds=profile.wall_time),
        touched=now,
        settings=profile.settings,
    )
    check(spec)
    return Workspace(metadata=Metadata(name=name, finalizers=(FINALIZER,)), spec=spec)


def complete(
    profiles: Mapping[str, Profile], spec: Mapping[str, object], made: datetime
) -> dict[str, object]:
    """The spec of a hand-written object, with what its author left out taken from its profile.

    Args:
        profiles: what is on the menu; a profile that is not there adds nothing, and `adopt` says so.
        spec: JSON, as it was written.
        made: when the object was made, with a zone.
    """
    if {"settings", "expires", "touched"} <= spec.keys():
        return dict(spec)
    profile = profiles.get(str(spec.get("profile")))
    if profile is None:
        return {"expires": made, "touched": made, **spec}
    return {
        "workers": profile.workers,
        "clusters": {name: plain_object(cluster) for name, cluster in profile.clusters.items()},
        "content": [plain_object(content) for content in profile.content],
        "settings": plain_object(profile.settings),
        "expires": made + timedelta(seconds=profile.wall_time),
        "touched": made,
        **spec,
    }


def adopt(workspace: Workspace, profiles: Container[str]) -> Workspace:
    """A hand-written object as one that Podium looks after.

    Raises:
        BadInput: naming the field, when it asks for what it may not have.
    """
    if workspace.spec.profile not in profiles:
        raise BadInput(
            f"spec.profile: there is no profile {workspace.spec.profile!r}.", "Choose another one."
        )
    check(workspace.spec)
    finalizers = (*workspace.metadata.finalizers, FINALIZER)
    return replace(workspace, metadata=replace(workspace.metadata, finalizers=finalizers))


def change(workspace: Workspace, patch: object, now: datetime, *, instructs: bool = False) -> Workspace:
    """The workspace after a person's change, which also counts as activity.

    Moments that only say "now", a raised hand and a restart, are taken from our clock and not from theirs.

    Args:
        patch: a JSON merge patch of the object, such as `{"spec": {"workers": 4}}`.
        instructs: whether an instructor asks, who may also move somebody up in line, and put off the end
            where the owner may not.

    Raises:
        BadInput: naming a field that may not be changed or does not fit.
        Conflict: when the workspace is ending.
        Forbidden: when the owner may not put off the end.
    """
    asked = _asked(patch, BY_INSTRUCTORS if instructs else CHANGEABLE)
    if workspace.deleting:
        raise Conflict("The workspace is being stopped.", "Launch a new one.")
    quiet = bool(asked) and asked.keys() <= QUIET
    if workspace.status.phase == "Failed" and not quiet:
        raise Conflict("The launch of this workspace failed.", "Dismiss it and launch again.")
    present, old = plain_object(workspace.spec), workspace.spec
    merged = merge_patch({name: present[name] for name in BY_INSTRUCTORS}, asked)
    changes = convert({"spec": merged}, _Changed).spec
    if changes.expires != old.expires and not (old.settings.extendable or instructs):
        raise Forbidden("The end of this workspace is fixed.", "Ask the instructor.")
    for name, moment in (("helpWanted", changes.help_wanted), ("restartedAt", changes.restarted_at)):
        _zoned(name, moment)
    restarted = changes.restarted_at is not None and changes.restarted_at != old.restarted_at
    spec = replace(
        old,
        workers=changes.workers,
        clusters=changes.clusters,
        expires=_bounded(changes.expires, old, now),
        help_wanted=changes.help_wanted and (old.help_wanted or now),
        restarted_at=now if restarted else old.restarted_at,
        queued_at=_place(changes.queued_at, old, now),
        touched=old.touched if instructs and quiet else now,
    )
    check(spec)
    return replace(workspace, spec=spec)


class _Changed(Wire, frozen=True, kw_only=True):
    spec: Changes


def _asked(patch: object, changeable: tuple[str, ...]) -> Mapping[str, object]:
    if not isinstance(patch, Mapping):
        raise BadInput("The body must be a JSON object.", 'For example {"spec": {"workers": 4}}.')
    for name in patch:
        if name != "spec":
            raise BadInput(f"{str(name)[:100]}: only spec can be changed.")
    asked = patch.get("spec")
    if not isinstance(asked, Mapping):
        raise BadInput("spec: expected an object.", 'For example {"spec": {"workers": 4}}.')
    for name in asked:
        if name not in changeable:
            raise BadInput(
                f"spec.{str(name)[:100]}: cannot be changed.", f"These can: {', '.join(changeable)}."
            )
    return asked


def _zoned(name: str, moment: datetime | None) -> None:
    if moment is not None and moment.tzinfo is None:
        raise BadInput(f"spec.{name}: a time zone is needed.", "For example 2026-12-01T17:00:00Z.")


def _bounded(expires: datetime, spec: Spec, now: datetime) -> datetime:
    """An end that a person may ask for: in the future, and at most the profile's wall time from now."""
    if expires == spec.expires:
        return expires
    _zoned("expires", expires)
    if expires <= now:
        raise BadInput("spec.expires: is in the past.", "To end the workspace, stop it.")
    # A clock that runs ahead should not make an honest extension fail, so the end is cut, not refused.
    return min(expires, now + timedelta(seconds=spec.settings.wall_time))


def _place(queued_at: datetime | None, spec: Spec, now: datetime) -> datetime | None:
    """A place in line that an instructor may give: from any moment there has been."""
    if queued_at is None or queued_at == spec.queued_at:
        return queued_at
    _zoned("queuedAt", queued_at)
    return min(queued_at, now)


def check(spec: Spec) -> None:
    """Check the rules between fields. Raises BadInput, naming the field."""
    limit = spec.settings.max_workers
    hint = f"The limit comes from the profile {spec.profile}."
    if spec.workers > limit:
        raise BadInput(f"spec.workers: {spec.workers} is more than {limit}.", hint)
    for name, cluster in spec.clusters.items():
        if name not in spec.settings.frameworks:
            raise BadInput(f"spec.clusters.{name}: not in the profile {spec.profile}.", hint)
        if cluster.workers is not None and cluster.workers > limit:
            raise BadInput(f"spec.clusters.{name}.workers: {cluster.workers} is more than {limit}.", hint)
