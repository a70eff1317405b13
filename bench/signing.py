"""How the people of a class get in before they click. Nothing here may measure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp

from bench.people import Person
from bench.site import Site

AT_A_TIME = 20
"""Who come through the door together, before nine o'clock."""


async def enter(session: aiohttp.ClientSession, site: Site, people: Sequence[Person], how: str) -> None:
    """Have everybody at the page with the button.

    Args:
        how: `guest`, where opening the page is enough, or `class`, with the invitation and a name.
    """
    secret = await invitation(session, site) if how == "class" else ""
    door = asyncio.Semaphore(AT_A_TIME)

    async def come(number: int, person: Person) -> None:
        async with door:
            await (person.join(secret, f"Person {number}") if secret else person.arrive())

    await asyncio.gather(*(come(number, person) for number, person in enumerate(people, 1)))


async def invitation(session: aiohttp.ClientSession, site: Site) -> str:
    """What the link to the class ends with, as the operator is told it."""
    headers = {"Authorization": f"Bearer {site.token}"}
    async with session.get(f"{site.url}/api/room", headers=headers) as response:
        response.raise_for_status()
        return str((await response.json())["invitation"]["secret"])
