"""Who did what to whom: a line of the log for whatever changes something, for every try to get in, and more.

Lines go to the logger `podium.audit`; with `log_lines = json` each is an object with the fields below. A line
holds no secret and nothing that somebody typed. Nothing here may decide anything.
"""

from __future__ import annotations

import logging

log = logging.getLogger("podium.audit")

MOST_LETTERS = 200


def note(did: str, outcome: str, *, who: str = "", role: str = "", whom: str = "", what: str = "") -> None:
    """Write a line.

    Args:
        did: what was done, or tried, in a few words.
        outcome: `done`, or why not.
        who: the identity of the person who did it; empty for somebody who is not signed in.
        role: what they may do.
        whom: the identity of the person whose it was, where that is somebody.
        what: the workspace, or the path of what was changed.
    """
    fields = {"who": who, "role": role, "did": did, "whom": whom, "what": what, "outcome": outcome}
    about = {name: value[:MOST_LETTERS] for name, value in fields.items()}
    doer = f"{about['who'] or 'nobody'}{f' ({role})' if role else ''}"
    target = f" of {about['whom']}" if whom and whom != who else ""
    log.info("%s: %s %s%s: %s", doer, about["did"], about["what"], target, about["outcome"], extra=about)
