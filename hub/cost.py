"""What workspaces cost: what is set aside for them, times how long, times a price. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from hub.model import Usage, Workspace
from hub.observed import Instance
from hub.profiles import Profile
from hub.rules import Prices
from hub.settings import Resources, Role, Settings, mebibytes

HOUR = 3600.0


@dataclass(frozen=True)
class Amount:
    """Cores, GiB of memory and GPUs: at one moment, or times the seconds for which they were set aside."""

    cores: float = 0.0
    gib: float = 0.0
    gpus: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.cores + other.cores, self.gib + other.gib, self.gpus + other.gpus)

    def times(self, factor: float) -> Amount:
        """So many times as much."""
        return Amount(self.cores * factor, self.gib * factor, self.gpus * factor)


def of(resources: Resources) -> Amount:
    """What is set aside for one instance."""
    cores, memory = resources.requested
    return Amount(cores, mebibytes(memory) / 1024, resources.gpu)


def set_aside(settings: Settings, instances: Iterable[Instance]) -> Amount:
    """What is set aside for what runs.

    Args:
        settings: the workspace's.
        instances: what was seen; what could not even be made takes nothing.
    """
    made = (instance for instance in instances if instance.running or instance.ready)
    return sum((of(_resources(settings, instance.workload)) for instance in made), Amount())


def launched(profile: Profile) -> Amount:
    """What is set aside for a workspace as the profile launches it."""
    roles, total = profile.resources, of(profile.resources.notebook)
    for cluster in profile.clusters.values():
        workers = profile.workers if cluster.workers is None else cluster.workers
        total += of(roles.scheduler) + of(roles.worker).times(workers)
    return total


def used(before: Usage | None, now_aside: Amount, now: datetime) -> Usage:
    """Go on counting.

    Args:
        before: what was counted until the last look; None at the first.
        now_aside: what is set aside from now on.
        now: the time; of a clock that went back nothing is taken off.
    """
    total = total_of(before, now)
    return Usage(
        core_seconds=total.cores,
        gib_seconds=total.gib,
        gpu_seconds=total.gpus,
        cores=now_aside.cores,
        gib=now_aside.gib,
        gpus=now_aside.gpus,
        at=now,
    )


def total_of(usage: Usage | None, now: datetime) -> Amount:
    """All that was used until now, in core-seconds, GiB-seconds and GPU-seconds."""
    if usage is None:
        return Amount()
    seconds = max(0.0, (now - usage.at).total_seconds())
    counted = Amount(usage.core_seconds, usage.gib_seconds, usage.gpu_seconds)
    return counted + Amount(usage.cores, usage.gib, usage.gpus).times(seconds)


def money(amount: Amount, prices: Prices) -> float:
    """The price of core-seconds, GiB-seconds and GPU-seconds."""
    hourly = amount.cores * prices.cpu_hour + amount.gib * prices.memory_gib_hour
    return (hourly + amount.gpus * prices.gpu_hour) / HOUR


def said(amount: Amount, prices: Prices) -> str:
    """An amount of seconds for people: the money where there are prices, else what it is made of.

    >>> said(Amount(cores=7200, gib=36000), Prices(currency="EUR", cpu_hour=0.5))
    '1.00 EUR'
    >>> said(Amount(cores=7200, gib=36000), Prices())
    '2 core hours, 10 GiB hours'
    """
    if prices.currency:
        return f"{money(amount, prices):.2f} {prices.currency}"
    told = [f"{_short(amount.cores)} core hours", f"{_short(amount.gib)} GiB hours"]
    return ", ".join([*told, *([f"{_short(amount.gpus)} GPU hours"] if amount.gpus else [])])


@dataclass(frozen=True)
class Estimate:
    """What a class will take.

    Args:
        aside: what all of it sets aside at once.
        used: times its length in seconds.
        text: the cost in one line for people.
    """

    aside: Amount
    used: Amount
    text: str


def estimate(profile: Profile, seats: int, hours: float, prices: Prices) -> Estimate:
    """What a class will take, if everybody launches at once and scales nothing.

    Args:
        profile: what everybody launches.
        seats: how many they are.
        hours: how long it lasts.
        prices: what an hour costs.
    """
    aside = launched(profile).times(seats)
    used = aside.times(hours * HOUR)
    return Estimate(aside, used, said(used, prices))


def _resources(settings: Settings, workload: str) -> Resources:
    role: Role = "worker"
    if workload == "notebook" or workload.endswith("-scheduler"):
        role = "notebook" if workload == "notebook" else "scheduler"
    found: Resources = getattr(settings.resources, role)
    return found


def _short(seconds: float) -> str:
    return f"{seconds / HOUR:.3g}" if seconds < 100 * HOUR else f"{seconds / HOUR:.0f}"


def of_workspace(workspace: Workspace, now: datetime) -> Amount:
    """All that a workspace used until now."""
    return total_of(workspace.status.usage, now)
