"""From what was seen to what is well, what is not, and what to do. Nothing here may do I/O or read the clock.

A hint is what to do, in plain words; a line of it that begins with `$ ` is a command to be copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from hub.doctor.judge import Finding
from hub.model import PREFLIGHT
from hub.preflight.seats import together
from hub.preflight.steps import Class
from hub.room import Check, CheckState, PoolStatus
from hub.rules import Capacity
from hub.settings import mebibytes

TITLES: Mapping[str, str] = {
    "sign-in": "Sign-in",
    "capacity": "Capacity",
    "pool": "Warm pool",
    "length": "Length of the class",
    "nodes": "Nodes",
    "cpu": "Processors",
    "memory": "Memory",
    "gpu": "GPUs",
    "pods": "Places for pods",
    "room": "Room for every seat",
    "quota": "Quotas",
    "images": "Images on nodes",
    "storage": "Storage",
    "disk": "Disk",
    "archive": "Kept files",
    "proxies": "Web and proxy",
    "address": "Public address",
    "launch": "A trial launch",
}
"""The name of each check that there may be, and what people call it; in the order in which they are shown."""
FULL = "The hub is full, so that nothing was launched for it."
SOON = timedelta(minutes=15)
"""How long before the class starts its pool should be full."""


def check(name: str, state: CheckState, message: str, hint: str = "") -> Check:
    """An answer, with the title of its name."""
    return Check(name=name, title=TITLES[name], state=state, message=message, hint=hint)


def found(name: str, finding: Finding) -> Check:
    """What the doctor's judgement comes to here."""
    states: dict[str, CheckState] = {"good": "ok", "bad": "failed", "unknown": "warning"}
    message = finding.message[:1].upper() + finding.message[1:]
    return check(name, states[finding.level], message, finding.hint)


@dataclass(frozen=True)
class Shown:
    """What a server shows of itself when a connection is made.

    Args:
        until: when its certificate expires; None without one.
        wrong: what is wrong with the certificate, as a browser would say.
        unreachable: why nothing was shown.
    """

    until: datetime | None = None
    wrong: str = ""
    unreachable: str = ""


def sign_in(course: Class, mode: str, is_open: bool, provider: Shown) -> Check:
    """Whether a class can come in.

    Args:
        mode: the setting sign_in.
        is_open: whether newcomers may join.
        provider: what there is of who tells who people are, where that is somebody else.
    """
    if mode == "local":
        if course.seats == 1:
            return check("sign-in", "ok", "One person, on this machine.")
        hint = "Set sign_in to class, which gives out a join code, or to oidc."
        return check("sign-in", "failed", "This hub is for the one person of this machine.", hint)
    if mode == "guest":
        hint = "For a class set sign_in to class or oidc: then there are names, and instructors."
        return check("sign-in", "warning", "Whoever has the address is let in, and nobody has a name.", hint)
    if not is_open:
        hint = "Open the room on the room page before people come."
        return check("sign-in", "failed", "The room is closed: newcomers are turned away.", hint)
    wrong = provider.wrong or provider.unreachable
    if mode == "oidc" and wrong:
        hint = "Look whether the provider works, and whether the hub may reach it."
        return check("sign-in", "failed", f"The provider that people sign in at is away: {wrong}.", hint)
    what = "join code" if mode == "class" else "their own account"
    return check("sign-in", "ok", f"People sign in by {what}, and the room is open.")


def capacity(course: Class, limit: Capacity, seat: Sequence[Mapping[str, float]]) -> Check:
    """Whether the hub's own limit lets everybody in.

    Args:
        limit: of the whole hub.
        seat: what each pod of a seat sets aside.
    """
    one = together(seat)
    memory = None if limit.memory is None else mebibytes(limit.memory) * 2.0**20
    limits = {
        "workspaces": None if limit.workspaces is None else limit.workspaces,
        "cpu": None if limit.cpu is None else int(limit.cpu / one["cpu"] + 1e-6),
        "memory": None if memory is None else int(memory / one["memory"] + 1e-6),
    }
    said = {name: number for name, number in limits.items() if number is not None}
    if not said:
        return check("capacity", "ok", "The hub has no limit of its own.")
    tight = min(said, key=lambda name: said[name])
    if said[tight] < course.seats:
        message = f"{said[tight]} of {course.seats} people get in at once; the others wait in line."
        hint = f"Raise capacity.{tight} in the configuration" + (
            ", or the number on the room page." if tight == "workspaces" else "."
        )
        return check("capacity", "failed", message, hint)
    return check("capacity", "ok", f"The hub lets in {said[tight]} at once, and {course.seats} come.")


def pool(course: Class, size: int, status: PoolStatus, now: datetime) -> Check:
    """Whether workspaces wait for people when they come.

    Args:
        size: how many are to be held at the start.
        status: what there is of it now.
    """
    if size == 0 and course.seats == 1:
        return check("pool", "skipped", "One person does not need one.")
    if size == 0:
        hint = "Hold a pool from a quarter of an hour before: on the room page, or in the configuration."
        message = "No workspaces are held ready, so that everybody waits for a start of their own."
        return check("pool", "warning", message, hint)
    said = f"{size} of {course.seats} find a workspace that waits for them"
    if size < course.seats:
        return check("pool", "warning", f"{said}; the others wait for a start.", "Make the pool larger.")
    if course.start - now > SOON:
        return check("pool", "ok", f"At the start {course.seats} workspaces are to wait for people.")
    if status.ready < course.seats:
        message = f"{status.ready} of {course.seats} workspaces are ready. {status.message}".strip()
        hint = "Wait for the others and check again." if not status.message else "See the lines below."
        return check("pool", "failed" if status.message else "warning", message, hint)
    return check("pool", "ok", f"{status.ready} workspaces are ready.")


def length(course: Class) -> Check:
    """Whether workspaces last for as long as the class."""
    settings, name = course.profile.settings, course.profile.name
    if settings.wall_time < course.hours * 3600:
        message = f"A workspace ends after {span(settings.wall_time)}; the class lasts {course.hours:g} h."
        hint = f"Raise wall_time of the profile {name}."
        if settings.extendable:
            return check("length", "warning", f"{message} People can extend theirs.", hint)
        return check("length", "failed", message, hint)
    return check("length", "ok", f"Workspaces last {span(settings.wall_time)}, the class {course.hours:g} h.")


def span(seconds: float) -> str:
    """A length of time for people."""
    return f"{seconds / 3600:g} h" if seconds % 1800 == 0 else f"{seconds / 60:.0f} min"


def archive(course: Class, there: bool, wrong: str) -> Check:
    """Whether homes can be downloaded when their workspaces have ended.

    Args:
        there: whether anything keeps them.
        wrong: why it cannot be asked.
    """
    seconds = course.profile.settings.archive_time
    if seconds == 0:
        return check("archive", "skipped", f"The profile {course.profile.name} keeps nothing.")
    if not there:
        message = "Nothing keeps what is in a home folder when its workspace ends."
        return check("archive", "warning", message, "Set archive.enabled in the values of the chart.")
    if wrong:
        message = f"What keeps home folders does not answer: {wrong}."
        return check("archive", "failed", message, "$ kubectl get pods,pvc --all-namespaces")
    return check("archive", "ok", f"Home folders can be downloaded for {seconds / 86400:.3g} days.")


def proxies(proxies: int | None, webs: int | None) -> Check:
    """Whether one that is lost is missed.

    Args:
        proxies, webs: how many are ready; None where there is no such Service.
    """
    if proxies is None or webs is None:
        return check("proxies", "skipped", "They do not run as pods of this release.")
    parts = {"proxy": proxies, "web": webs}
    few = min(parts, key=lambda part: parts[part])
    if parts[few] == 0:
        return check("proxies", "failed", f"No pod of {few} is ready.", "$ kubectl get pods --all-namespaces")
    if parts[few] == 1:
        message = f"There is one pod of {few}: everybody waits while it restarts."
        return check("proxies", "warning", message, f"Set {few}.replicas to 2 or more.")
    return check("proxies", "ok", f"{proxies} proxies and {webs} pods of web are ready.")


def address(course: Class, url: str, shown: Shown, local: bool) -> Check:
    """Whether browsers will trust what people open, for as long as the class lasts.

    Args:
        url: what people open; empty where that is not configured.
        local: whether only this machine can open it.
    """
    if local:
        return check("address", "ok", "Only this machine reaches it, so that nothing has to be encrypted.")
    if not url:
        hint = "Set public_url (publicUrl in the chart) to what people open, with https."
        return check("address", "warning", "It is not configured, so that nobody can look at it.", hint)
    if shown.unreachable:
        hint = "Open it in a browser; from here it may be out of reach."
        return check("address", "warning", f"{url} cannot be reached from the hub: {shown.unreachable}", hint)
    if urlsplit(url).scheme != "https":
        hint = "Use https: on a shared Wi-Fi everybody can read along."
        return check("address", "warning", f"{url} is not encrypted.", hint)
    renew = (
        "Renew the certificate. Where cert-manager should have, ask it why not:\n"
        "$ kubectl describe certificates --all-namespaces"
    )
    if shown.wrong:
        return check("address", "failed", f"Browsers will refuse {url}: {shown.wrong}.", renew)
    if shown.until is not None and shown.until < course.end:
        message = f"The certificate of {url} expires on {moment(shown.until)}, before the class ends."
        return check("address", "failed", message, renew)
    until = f" until {moment(shown.until)}" if shown.until else ""
    return check("address", "ok", f"The certificate of {url} is good{until}.")


def moment(at: datetime) -> str:
    """A time for people."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


@dataclass(frozen=True)
class Tried:
    """What became of a launch that was tried.

    Args:
        problem: what went wrong, a sentence; empty when nothing did.
        hint: what to do about it.
        seconds: from the launch to the notebook, and to the last worker.
        workers: how many there are then.
        way: the address that it was used through.
        left: whether it could not be removed again.
        launched: whether it was launched; else it was one of the pool.
    """

    problem: str = ""
    hint: str = ""
    seconds: tuple[float, float] = (0.0, 0.0)
    workers: int = 0
    way: str = ""
    left: bool = False
    launched: bool = True


def launch(tried: Tried, public: str) -> Check:
    """What a launch says that was tried.

    Args:
        public: what people open; empty where that is not configured.
    """
    if tried.problem:
        return check("launch", "failed", tried.problem, tried.hint)
    message = _went(tried)
    if tried.left:
        message = f"{message}; but its end takes long."
        return check(
            "launch", "warning", message, f"$ kubectl get workspaces --all-namespaces -l {PREFLIGHT}"
        )
    if not public:
        hint = "Set public_url to what people open, so that the way they take is tried."
        return check("launch", "warning", f"{message}. That is not the way people take.", hint)
    if tried.way != public:
        hint = f"Open {public} in a browser, and look at one notebook there."
        return check("launch", "warning", f"{message}. From the hub {public} is out of reach.", hint)
    return check("launch", "ok", f"{message}. " + ("It is removed again." if tried.launched else FULL))


def _went(tried: Tried) -> str:
    """How it went, without a full stop."""
    ready, whole = tried.seconds
    if not tried.launched:
        return f"A notebook of the pool answered at {tried.way}, over HTTP and WebSocket"
    message = f"The notebook answered at {tried.way} after {ready:.1f} s, over HTTP and WebSocket"
    if not tried.workers:
        return message
    all_ = "its worker was" if tried.workers == 1 else f"all {tried.workers} workers were"
    return f"{message}, and {all_} ready after {whole:.1f} s"
