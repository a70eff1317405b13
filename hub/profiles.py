"""Profiles: the choices on the menu, read from the configuration.

Nothing here may do I/O; `app.py` reads the configuration file.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from hub.errors import BadInput, ConfigurationError
from hub.model import ClusterSpec
from hub.settings import (
    Content,
    Count,
    FrameworkName,
    Line,
    Network,
    Resources,
    Settings,
    SharedVolume,
    Word,
    mebibytes,
)
from hub.wire import convert

VERBATIM = ("annotations", "attributes", "nodeSelector", "podPatch", "quota")
"""Settings in which names are Kubernetes' or an author's own, to be left as they are."""
TAKEN = ("/home/podium", "/scratch", "/etc/podium", "/tmp")  # noqa: S108 - of a pod
"""Where pods have folders of their own."""


class Profile(Settings, frozen=True, kw_only=True):
    """A choice on the menu: what starts at a click, and the limits it lives in.

    The fields of `Settings` are copied into each workspace that is launched; later edits of a profile
    change nothing that runs.
    """

    name: Word
    title: Annotated[str, Meta(min_length=1, max_length=100)]
    description: Line = ""
    workers: Count = 2
    clusters: dict[FrameworkName, ClusterSpec] = {}
    content: Annotated[tuple[Content, ...], Meta(max_length=8)] = ()

    @property
    def settings(self) -> Settings:
        """What is copied into a workspace."""
        return Settings(**{name: getattr(self, name) for name in Settings.__struct_fields__})


def read_profiles(configured: Mapping[str, object]) -> dict[str, Profile]:
    """Check the configured profiles.

    Args:
        configured: name to its settings, with Python's spelling (`max_workers`) or the wire's (`maxWorkers`).

    Raises:
        ConfigurationError: naming the profile and the setting that does not fit.
    """
    if not configured:
        raise ConfigurationError("Podium.profiles: at least one profile is needed.")
    return {name: _read(name, values) for name, values in configured.items()}


def _read(name: str, values: object) -> Profile:
    where = f"Podium.profiles[{name!r}]"
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{where}: expected a dictionary of settings.")
    try:
        profile = convert(_camel({"title": name, **values, "name": name}), Profile, where)
    except BadInput as error:
        # The author wrote max_workers where the wire says maxWorkers.
        path, colon, told = error.message.removeprefix(where).partition(": ")
        named = _snake(told) if told.startswith("object contains unknown field") else told
        message = where + _snake(path) + colon + named
        raise ConfigurationError(message, "See `podium --help-all` for what a profile may hold.") from None
    for framework in profile.clusters:
        if framework not in profile.frameworks:
            raise ConfigurationError(f"{where}, clusters.{framework}: not one of the profile's frameworks.")
    asked = {f"clusters.{name}.workers": cluster.workers for name, cluster in profile.clusters.items()}
    for setting, workers in {**asked, "workers": profile.workers}.items():
        if workers is not None and workers > profile.max_workers:
            limit = f"max_workers, {profile.max_workers}"
            raise ConfigurationError(f"{where}, {setting}: {workers} workers are more than {limit}.")
    for role in ("notebook", "scheduler", "worker"):
        for setting, told in _excess(getattr(profile.resources, role)):
            raise ConfigurationError(f"{where}, resources.{role}.requests.{setting}: {told}")
    for setting, told in (*_wrong_networks(profile.kubernetes.network), *_wrong_volumes(profile)):
        raise ConfigurationError(f"{where}, kubernetes.{setting}: {told}")
    return profile


def _excess(resources: Resources) -> Iterator[tuple[str, str]]:
    """Requests above the limits, which Kubernetes would refuse pod by pod."""
    cpu, memory = resources.requested
    if cpu > resources.cpu:
        yield "cpu", f"{cpu:g} is more than the limit, {resources.cpu:g}."
    if mebibytes(memory) > resources.mebibytes:
        yield "memory", f"{memory} is more than the limit, {resources.memory}."


def _wrong_networks(network: Network) -> Iterator[tuple[str, str]]:
    for setting, ranges in (("allow", network.allow), ("deny", network.deny)):
        for cidr in ranges:
            try:
                everything = ipaddress.ip_network(cidr).prefixlen == 0
            except ValueError as error:
                yield f"network.{setting}", f"{error}."
            else:
                if everything and setting == "deny":
                    yield "network.deny", f"{cidr} is everything; say it with internet, False."


def _wrong_volumes(profile: Settings) -> Iterator[tuple[str, str]]:
    names: set[str] = set()
    paths = set(TAKEN)
    for place, volume in enumerate(profile.kubernetes.shared):
        where = f"shared[{place}]"
        if (volume.csi is None) == (volume.claim is None):
            yield where, "expected either csi or claim."
        if volume.name in names:
            yield f"{where}.name", f"there is another volume {volume.name!r}."
        if _hides(volume, paths):
            yield f"{where}.path", f"{volume.path} would hide what pods have there."
        names.add(volume.name)
        paths.add(volume.path)


def _hides(volume: SharedVolume, paths: set[str]) -> bool:
    return any(path == volume.path or path.startswith(f"{volume.path}/") for path in paths)


def _snake(text: str) -> str:
    return re.sub(r"(?<=[a-z])[A-Z]", lambda letter: "_" + letter[0].lower(), text)


def _camel(value: object) -> object:
    """Let a Python configuration use Python's spelling for the names of settings."""
    if isinstance(value, Mapping):
        named = ((msgspec_camel(key), item) for key, item in value.items())
        return {key: item if key in VERBATIM else _camel(item) for key, item in named}
    if isinstance(value, list | tuple):
        return [_camel(item) for item in value]
    return value


def msgspec_camel(name: object) -> object:
    """`max_workers` to `maxWorkers`, as the wire spells it; anything else stays as it is."""
    if not isinstance(name, str):
        return name
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def schema() -> dict[str, object]:
    """The JSON Schema of a profile, for help and documentation."""
    return msgspec.json.schema(Profile)
