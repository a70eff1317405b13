"""The state directory: one hub at a time, private, with a key and a token that last."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hub.errors import ConfigurationError
from hub.state import TOKEN_VARIABLE, State, default_directory


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "state")
    state.open()
    return state


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_where_it_is_by_default(monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_directory(8000) == Path("/data/podium/8000")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/ada")
    assert default_directory(8001) == Path("/home/ada/.local/share/podium/8001")


def test_it_is_made_for_its_owner_alone(tmp_path):
    State(tmp_path / "a" / "b").open()
    assert mode(tmp_path / "a" / "b") == 0o700


def test_one_that_was_open_to_others_is_closed_to_them(tmp_path):
    (tmp_path / "state").mkdir(mode=0o755)
    State(tmp_path / "state").open()
    assert mode(tmp_path / "state") == 0o700


def test_a_second_hub_is_kept_out_and_told_what_to_do(state):
    with pytest.raises(ConfigurationError, match="Another podium is running") as refused:
        State(state.directory).open()
    assert "make run PORT=8001" in refused.value.hint


def test_the_lock_ends_with_its_process_and_children_do_not_keep_it(tmp_path):
    code = (
        "import subprocess, sys; from pathlib import Path; from hub.state import State\n"
        "State(Path(sys.argv[1])).open()\n"
        "child = subprocess.Popen(['sleep', '60'], close_fds=False)\n"
        "print(child.pid, flush=True); input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], **pipes) as hub:
        child = int(hub.stdout.readline())
        try:
            with pytest.raises(ConfigurationError):
                State(tmp_path).open()
            hub.kill()
            hub.wait()
            State(tmp_path).open()
        finally:
            os.kill(child, 9)


@pytest.mark.parametrize("where", ["file/state", "file"])
def test_a_directory_that_cannot_be_is_told(tmp_path, where):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigurationError, match=r"cannot be used: (Not a directory|File exists)\."
    ) as refused:
        State(tmp_path / where).open()
    assert refused.value.hint == "Choose another with --state."


def test_hubs_are_told_apart_by_their_directory(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert State(tmp_path / "a").hub == State(tmp_path / "b" / ".." / "a").hub == State(tmp_path / "link").hub
    assert State(tmp_path / "a").hub != State(tmp_path / "b").hub


def test_the_key_is_made_once(state):
    key = state.key()
    assert len(key) == 64
    assert State(state.directory).key() == key
    assert mode(state.directory / "key") == 0o600


def test_two_hubs_have_two_keys(tmp_path):
    one, other = State(tmp_path / "a"), State(tmp_path / "b")
    one.open()
    other.open()
    assert one.key() != other.key()


def test_the_token_is_made_once_and_clients_find_it(state):
    token = state.token()
    assert len(token) == 43
    assert state.token() == token
    assert State(state.directory).read_token() == token
    assert mode(state.directory / "token") == 0o600


def test_a_token_may_be_given_and_clients_find_that(state, monkeypatch):
    made = state.token()
    monkeypatch.setenv(TOKEN_VARIABLE, "given-token-of-a-test")
    assert state.token() == "given-token-of-a-test"
    assert state.read_token() == "given-token-of-a-test"
    monkeypatch.delenv(TOKEN_VARIABLE)
    assert state.read_token() == "given-token-of-a-test" != made


@pytest.mark.parametrize(
    "given", ["", "short", "x" * 15, "x" * 513, "sixteen letters!", "line-end-at-end-0123\n", "ü" * 20]
)
def test_a_token_that_cannot_be_one_is_refused(state, monkeypatch, given):
    monkeypatch.setenv(TOKEN_VARIABLE, given)
    with pytest.raises(ConfigurationError, match=f"{TOKEN_VARIABLE} is not usable"):
        state.token()


def test_a_client_where_no_hub_has_run_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="There is no token"):
        State(tmp_path).read_token()


def test_a_write_that_was_cut_short_leaves_no_half_a_key(state):
    (state.directory / "key.new").write_text("half")
    key = state.key()
    assert len(key) == 64
    assert state.key() == key
