"""Whether there is room for every seat, on nodes or on one machine. Nothing here may do I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hub.doctor.machines import amount
from hub.preflight.judge import check
from hub.preflight.seats import PODS, Space, fitting, together
from hub.preflight.steps import Class
from hub.room import Check
from hub.settings import PullPolicy

MOST_NAMED = 3
LEAN = 0.25
"""Of the memory that a profile sets aside, the part that its processes take while nothing is computed; on one
machine, where nothing is set aside, less than that is too little."""


def resources(
    course: Class, spaces: Sequence[Space], seat: Sequence[Mapping[str, float]], gpu: str
) -> list[Check]:
    """Whether nodes have enough of everything, and whether it is in places where it is of use.

    Args:
        spaces: the nodes that the profile may use.
        seat: what each pod of a seat asks for.
        gpu: the name of GPUs as a resource.
    """
    one = together(seat)
    checks = [
        _amount(course, spaces, name, resource, one.get(resource, 0.0))
        for name, resource in (("cpu", "cpu"), ("memory", "memory"), ("gpu", gpu), ("pods", PODS))
    ]
    return [*checks, _room(course, spaces, seat, enough=all(each.state != "failed" for each in checks))]


def _amount(course: Class, spaces: Sequence[Space], name: str, resource: str, one: float) -> Check:
    if one == 0:
        return check(name, "skipped", "The profile asks for none.")
    free = sum(space.free.get(resource, 0.0) for space in spaces)
    wanted = one * course.missing
    nodes = f"{len(spaces)} node" + ("" if len(spaces) == 1 else "s")
    if free + 1e-6 < wanted:
        enough = int(free / one + 1e-6) + course.held
        message = (
            f"{course.missing} more seats ask for {told(resource, wanted)}; {told(resource, free)} are free "
            f"on {nodes}, enough for {enough} of {course.seats} people."
        )
        hint = (
            "Add nodes that the profile may use, or lower its requests or workers. Where nodes are added "
            "by themselves, hold the pool early enough for them to come.\n$ kubectl get nodes"
        )
        return check(name, "failed", message, hint)
    message = f"{told(resource, free)} are free on {nodes}, and {told(resource, wanted)} are asked for."
    return check(name, "ok", message)


def _room(course: Class, spaces: Sequence[Space], seat: Sequence[Mapping[str, float]], enough: bool) -> Check:
    number = fitting(spaces, seat, course.missing)
    if number == course.missing:
        return check("room", "ok", f"Placed one by one, the pods of all {course.seats} find a node.")
    message = (
        f"Placed one by one, {number + course.held} of {course.seats} people find room for all their pods."
    )
    hint = (
        "See the lines above." if not enough else "There is enough in sum, but in small pieces: add a node."
    )
    return check("room", "failed", message, hint)


def told(resource: str, number: float) -> str:
    """How much of a resource, for people."""
    if resource == PODS:
        return f"{number:.0f} places"
    if resource == "memory":
        return f"{_short(number / 2**30)} GiB"
    return f"{_short(number)} cores" if resource == "cpu" else amount(resource, number)


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


@dataclass(frozen=True)
class Quota:
    """A limit on what a namespace may hold.

    Args:
        where: the namespace, for people.
        resource: what is limited.
        wanted: how much of it is to come.
        left: how much may.
    """

    where: str
    resource: str
    wanted: float
    left: float


def quotas(all_: Sequence[Quota]) -> Check:
    """Whether the API server will take everything."""
    for one in all_:
        if one.left + 1e-6 < one.wanted:
            message = (
                f"The quota of {one.where} leaves {one.left:g} of {one.resource}: {one.wanted:g} are needed."
            )
            return check("quota", "failed", message, "Raise that quota, or lower what is asked for.")
    return check("quota", "ok", "No quota is in the way.")


def reference(image: str) -> str:
    """The whole name of an image. Source: the library `distribution/reference`, ParseNormalizedNamed."""
    domain, slash, _ = image.partition("/")
    if not slash or not (set(domain) & set(".:") or domain == "localhost"):
        image = f"docker.io/{image if slash else f'library/{image}'}"
    return image if re.search(r"[:@][^/]*$", image) else f"{image}:latest"


def images(image: str, spaces: Sequence[Space], policy: PullPolicy, prepull: str) -> Check:
    """Whether nodes have the image before anybody waits for it.

    Args:
        image: of the profile's pods.
        policy: when it is pulled.
        prepull: the command that tells whether the release has pulled it everywhere.
    """
    wanted = reference(image)
    lacking = [space.name for space in spaces if wanted not in {reference(one) for one in space.images}]
    sure = [space.name for space in spaces if space.name in lacking and space.listed]
    if not lacking:
        return check("images", "ok", f"{image} is on all {len(spaces)}.")
    names = ", ".join(sorted(lacking)[:MOST_NAMED]) + (" …" if len(lacking) > MOST_NAMED else "")
    message = f"{image} is not on {len(lacking)} of {len(spaces)}: {names}."
    if policy == "Never":
        return check("images", "failed", f"{message} They may not pull it.", "Change image_pull_policy.")
    hint = f"Wait until prepull has it everywhere, or pull it there yourself.\n$ {prepull}"
    if len(sure) == len(spaces):
        return check("images", "failed", f"{message} The first on each waits until it is pulled.", hint)
    return check("images", "warning", f"{message} The first there may wait until it is pulled.", hint)


def machine(course: Class, seat: Sequence[Mapping[str, float]], cores: float, memory: float) -> list[Check]:
    """Whether one machine is enough for a class, where nothing is set aside for anybody.

    Args:
        seat: what each program of a seat would set aside.
        cores: of the machine.
        memory: that can be had, in bytes.
    """
    one = together(seat)
    wanted = {name: one[name] * course.missing for name in ("cpu", "memory")}
    cpu = f"{told('cpu', wanted['cpu'])} are asked for, and this machine has {cores:g}."
    share = f"{told('memory', wanted['memory'])} are asked for, and {told('memory', memory)} can be had."
    few = "Lower the seats or the workers of the profile, or use a larger machine."
    checks = [check("cpu", "ok", cpu)]
    if wanted["cpu"] > cores:
        checks = [check("cpu", "warning", f"{cpu} People share them, so that work takes longer.", few)]
    if wanted["memory"] * LEAN > memory:
        return [
            *checks,
            check("memory", "failed", f"{share} That is too little even while nothing runs.", few),
        ]
    if wanted["memory"] > memory:
        return [*checks, check("memory", "warning", f"{share} That is enough while few compute.", few)]
    return [*checks, check("memory", "ok", share)]


def disk(course: Class, free: float, seat: float) -> Check:
    """Whether the homes of a class find room on one machine.

    Args:
        free: in bytes.
        seat: what one is taken to need, in bytes.
    """
    message = f"{told('memory', free)} are free."
    if free < course.missing * seat:
        message = f"{message} {course.missing} homes of {told('memory', seat)} need more."
        return check("disk", "failed", message, "Make room on the disk of the state directory.")
    return check("disk", "ok", message)
