"""Codes that people type, and the names that they give themselves; pure.

Codes are derived from the hub's key, so that nothing has to be kept. Nothing here may look at who is asking.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata

from hub.errors import BadInput

SYMBOLS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without what looks like something else: i, l, 1, o, 0."""
SHORT, LONG = 8, 16
"""How long a code is that is typed, some 40 bits, and one that a link carries, some 80."""
MOST_LETTERS = 64
JOINERS = "\u200c\u200d"
"""Invisible, but Persian words and many emoji are not the same without them."""


def derive_code(hub_key: bytes, purpose: str, length: int) -> str:
    """A code for one purpose, the same wherever it is asked for; a shorter one is how a longer one begins."""
    digest = hmac.new(hub_key, f"code/{purpose}".encode(), hashlib.sha512).digest()
    number = int.from_bytes(digest, "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(SYMBOLS))
        letters.append(SYMBOLS[index])
    return "".join(letters)


def grouped(code: str) -> str:
    """A code as people read it: `abcd-efgh`."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def typed(text: str) -> str:
    """A code without what people add when they type it: spaces, dashes, capitals."""
    return "".join(letter for letter in text.lower() if letter.isalnum())


def same_name(name: str) -> str:
    """What is equal for names that somebody who types their own again takes for the same."""
    return unicodedata.normalize("NFKC", name).casefold()


def display_name(text: str) -> str:
    """A name as somebody gave it, fit to be shown beside others.

    What cannot be seen goes: control characters, and those that turn the direction of what comes after.
    Source: Unicode Standard Annex 15 (NFC) and 9, section 2 (directional formatting characters).

    Raises:
        BadInput: when nothing is left that can be seen, or too much.
    """
    composed = unicodedata.normalize("NFC", text[: 100 * MOST_LETTERS])
    kept = (" " if letter.isspace() else letter for letter in composed if _shown(letter))
    name = " ".join("".join(kept).split())
    if not any(unicodedata.category(letter)[0] in "LNPS" for letter in name):
        raise BadInput("name: please say your name.", "Letters of any language will do.")
    if len(name) > MOST_LETTERS:
        raise BadInput(f"name: it is longer than {MOST_LETTERS} characters.", "A first name will do.")
    return name


def _shown(letter: str) -> bool:
    if letter.isspace() or letter in JOINERS:
        return True
    return unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
