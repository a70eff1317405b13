"""What the operator decides for the class as a whole. Nothing here may do I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta

from hub.errors import BadInput, ConfigurationError
from hub.settings import Count, Quantity, Word
from hub.wire import END, Wire, convert

Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]" + END)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Price = Annotated[float, Meta(ge=0)]


class Capacity(Wire, frozen=True, kw_only=True, rename=None):
    """How much may be in use at once; beyond it people wait in line. None for no limit."""

    workspaces: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    cpu: Annotated[float, Meta(ge=0)] | None = None
    """Cores, by what is set aside for pods."""
    memory: Quantity | None = None


class Hours(Wire, frozen=True, kw_only=True, rename=None):
    """A time of the day in which a pool has another size."""

    start: Clock
    end: Clock
    """Before `start` for the next day."""
    size: Count
    days: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class PoolRule(Wire, frozen=True, kw_only=True, rename=None):
    """How many workspaces of a profile are held ready."""

    size: Count = 0
    schedule: Annotated[tuple[Hours, ...], Meta(max_length=32)] = ()
    timezone: Annotated[str, Meta(max_length=64)] = "UTC"
    """A name of the IANA time zone database, such as Europe/Berlin, for `schedule`."""


class Prices(Wire, frozen=True, kw_only=True, rename=None):
    """What an hour costs of what is set aside."""

    currency: Annotated[str, Meta(max_length=8)] = ""
    """Empty where nobody said what anything costs."""
    cpu_hour: Price = 0.0
    memory_gib_hour: Price = 0.0
    gpu_hour: Price = 0.0


class Rules(Wire, frozen=True, kw_only=True, rename=None):
    """All of it."""

    capacity: Capacity = Capacity()
    launches_at_once: Annotated[int, Meta(ge=1, le=1000)] = 32
    """How many workspaces may be starting at the same time."""
    pool: dict[Word, PoolRule] = {}
    prices: Prices = Prices()


def read_rules(configured: Mapping[str, object], profiles: Mapping[str, object]) -> Rules:
    """Check the configured rules.

    Args:
        configured: the settings `capacity`, `launches_at_once`, `pool` and `prices`, as they were written.
        profiles: what is on the menu.

    Raises:
        ConfigurationError: naming the setting that does not fit.
    """
    try:
        rules = convert(dict(configured), Rules, "Podium")
    except BadInput as error:
        raise ConfigurationError(error.message, "See: podium --help-all") from None
    for name, pool in rules.pool.items():
        if name not in profiles:
            raise ConfigurationError(f"Podium.pool: there is no profile {name!r}.")
        try:
            ZoneInfo(pool.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigurationError(
                f"Podium.pool[{name!r}], timezone: there is no time zone {pool.timezone!r}.",
                "Name it as the IANA time zone database does, such as Europe/Berlin.",
            ) from None
    return rules
