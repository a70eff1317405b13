"""Codes that people type, and the names that they give themselves."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import BadInput
from hub.web.codes import (
    LONG,
    MOST_LETTERS,
    SHORT,
    SYMBOLS,
    derive_code,
    display_name,
    grouped,
    same_name,
    typed,
)
from tests.builders import HUB_KEY


class TestCodes:
    def test_are_the_same_wherever_they_are_asked_for(self):
        assert derive_code(HUB_KEY, "join/1", SHORT) == derive_code(HUB_KEY, "join/1", SHORT)

    def test_are_others_for_other_purposes_and_hubs(self):
        codes = {
            derive_code(key, purpose, SHORT)
            for key in (HUB_KEY, HUB_KEY + b"x")
            for purpose in ("join/1", "join/2", "return/1")
        }
        assert len(codes) == 6

    def test_a_longer_one_begins_as_the_shorter_one(self):
        assert derive_code(HUB_KEY, "join/1", LONG).startswith(derive_code(HUB_KEY, "join/1", SHORT))

    def test_have_nothing_that_looks_like_something_else(self):
        assert not set("il1o0") & set(SYMBOLS)
        many = {letter for number in range(200) for letter in derive_code(HUB_KEY, str(number), LONG)}
        assert many == set(SYMBOLS)

    def test_are_read_in_groups_and_typed_in_any_way(self):
        assert grouped("abcdefgh") == "abcd-efgh"
        assert typed(" ABCD – efgh\n") == "abcdefgh"


class TestNames:
    @pytest.mark.parametrize(
        ("given", "shown"),
        [
            ("Ada", "Ada"),
            ("  Ada \t Lovelace\n", "Ada Lovelace"),
            ("e\u0301", "é"),
            ("علي\u202e", "علي"),
            ("\u2066Ada\u2069\u200b", "Ada"),
            ("👩\u200d🏫 Grace", "👩\u200d🏫 Grace"),
            ("<b>Ada</b>", "<b>Ada</b>"),
            ("Ada\x00\x1b[31m", "Ada[31m"),
            ("A" * MOST_LETTERS, "A" * MOST_LETTERS),
        ],
    )
    def test_are_shown_without_what_cannot_be_seen(self, given: str, shown: str):
        assert display_name(given) == shown

    @pytest.mark.parametrize("given", ["", "  ", "\u200d\u200c", "\u202e\u202d", "\x00\x07", "\u0301"])
    def test_that_show_nothing_are_none(self, given: str):
        with pytest.raises(BadInput, match="name: please say your name"):
            display_name(given)

    @pytest.mark.parametrize("given", ["A" * 65, "😀" * 10_000, "Ada " * 100])
    def test_have_an_end(self, given: str):
        with pytest.raises(BadInput, match="name: it is longer than 64 characters"):
            display_name(given)

    @given(st.text(max_size=200))
    def test_of_any_text_are_stable_and_cannot_turn_what_follows(self, text: str):
        try:
            name = display_name(text)
        except BadInput:
            return
        assert display_name(name) == name
        assert 0 < len(name) <= MOST_LETTERS
        kinds = {unicodedata.category(letter) for letter in name if letter not in "\u200c\u200d"}
        assert not kinds & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert name == name.strip()

    def test_typed_again_are_the_same(self):
        assert same_name("ADA") == same_name("ada")
        assert same_name("Straße") == same_name("STRASSE")
