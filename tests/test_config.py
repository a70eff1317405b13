"""The configuration: command line and file, and the one line that says what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from hub.app import CHECKOUT, Podium, check_names
from hub.configuration import Secrets, read_registries, secrets_given
from hub.errors import ConfigurationError
from hub.profiles import Profile, read_profiles

GOOD = "c = get_config()\nc.Podium.profiles = {'small': {'title': 'Small'}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to start in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configured(text: str, *argv: str) -> tuple[Any, dict[str, Profile]]:
    """The program with a configuration file of this text in its folder."""
    Path("podium_config.py").write_text(text)
    app: Any = Podium()
    return app, app.configure(list(argv))


def problem(capsys: pytest.CaptureFixture[str], text: str, *argv: str) -> str:
    """What is said when the configuration cannot be used: by us, or by traitlets, which ends the program."""
    with pytest.raises((ConfigurationError, SystemExit)) as raised:
        configured(text, *argv)
    if isinstance(raised.value, ConfigurationError):
        return f"{raised.value.message}\n{raised.value.hint}"
    assert raised.value.code not in (0, None)
    return capsys.readouterr().err


class TestWhatComesWithPodium:
    def test_is_used_where_there_is_no_other(self) -> None:
        app: Any = Podium()
        profiles = app.configure([])
        assert list(profiles) == ["workshop", "spark", "notebook"]
        assert (app.port, app.ip) == (8000, "127.0.0.1")

    def test_starts_what_the_menu_promises(self) -> None:
        app: Any = Podium()
        profiles = app.configure([])
        assert set(profiles["workshop"].clusters) == {"dask", "ipyparallel"}
        assert "spark" in profiles["workshop"].frameworks  # one click away
        assert set(profiles["spark"].clusters) == {"spark"}
        assert profiles["notebook"].clusters == {}

    def test_can_be_launched_as_it_is(self) -> None:
        app: Any = Podium()
        for profile in app.configure([]).values():
            assert profile.workers <= profile.max_workers
            assert profile.idle_time <= profile.wall_time
            assert profile.description

    def test_is_the_checkouts(self) -> None:
        assert (CHECKOUT / "podium_config.py").exists()


class TestFile:
    def test_in_the_folder_goes_before_the_checkouts(self) -> None:
        _, profiles = configured(GOOD)
        assert list(profiles) == ["small"]

    def test_by_name(self, folder: Path) -> None:
        (folder / "other").mkdir()
        (folder / "other" / "mine.py").write_text(GOOD.replace("small", "mine"))
        _, profiles = configured(GOOD, "--config=other/mine.py")
        assert list(profiles) == ["mine"]

    def test_the_command_line_goes_before_it(self) -> None:
        app, _ = configured(GOOD + "c.Podium.port = 8001\nc.Podium.state = '/a'\n", "--port=8002")
        assert (app.port, app.state) == (8002, "/a")

    def test_that_is_missing(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "nowhere.py" in problem(capsys, GOOD, "--config=nowhere.py")

    @pytest.mark.parametrize("name", ["mine.txt", "mine", "mine.conf"])
    def test_of_a_kind_that_is_not_read(self, capsys: pytest.CaptureFixture[str], name: str) -> None:
        Path(name).write_text(GOOD)
        assert name in problem(capsys, GOOD, f"--config={name}")

    def test_of_yaml(self) -> None:
        Path("mine.yaml").write_text("Podium: {port: 8001, profiles: {small: {title: Small}}}")
        app, profiles = configured("", "--config=mine.yaml", "--state=/a")
        assert (app.port, app.state, list(profiles)) == (8001, "/a", ["small"])

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("", "mine.yaml"),
            ("- Podium", "mine.yaml"),
            ("port: 8001", "Podium:"),
            ("Podium: {port: }}", "mine.yaml"),
            ("Podium: {port: x}", "port"),
            ("Podium: {prot: 1}", "Podium.prot"),
            ("Hub: {port: 1}", "Hub"),
            ("Podium: {profiles: !!python/object/apply:os.getcwd []}", "mine.yaml"),
        ],
    )
    def test_of_yaml_that_cannot_be_used(
        self, capsys: pytest.CaptureFixture[str], text: str, named: str
    ) -> None:
        Path("mine.yaml").write_text(text)
        assert named in problem(capsys, "", "--config=mine.yaml")

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("c = get_config(", "podium_config.py"),
            ("c = get_config()\nc.Podium.port = = 1", "podium_config.py"),
            ("raise RuntimeError('of its own')", "of its own"),
            ("import no_such_module", "no_such_module"),
            ("c = get_config()\nc.podium.port = 1", "podium"),
            ("1 / 0", "division by zero"),
        ],
    )
    def test_that_cannot_be_read(self, capsys: pytest.CaptureFixture[str], text: str, named: str) -> None:
        assert named in problem(capsys, text)


class TestNames:
    @pytest.mark.parametrize(
        ("line", "named"),
        [
            ("c.Podium.prot = 8001", "Podium.prot"),
            ("c.Podium.Port = 8001", "'Port'"),
            ("c.Podium.profile = {}", "Podium.profile:"),
            ("c.JupyterHub.port = 8001", "JupyterHub"),
            ("c.Podium2.port = 8001", "Podium2"),
            ("c.Application.log_level = 10", "Application"),
        ],
    )
    def test_unknown_in_the_file(self, capsys: pytest.CaptureFixture[str], line: str, named: str) -> None:
        assert named in problem(capsys, GOOD + line)

    @pytest.mark.parametrize(
        ("option", "named"),
        [
            ("--prot=8001", "prot"),
            ("--Podium.prot=1", "Podium.prot"),
            ("--Other.port=1", "Other"),
            ("lunch", "lunch"),
        ],
    )
    def test_unknown_on_the_command_line(
        self, capsys: pytest.CaptureFixture[str], option: str, named: str
    ) -> None:
        assert named in problem(capsys, GOOD, option)

    def test_there_are_said(self) -> None:
        with pytest.raises(ConfigurationError) as raised:
            check_names(Config({"Podium": {"prot": 1}}))
        assert raised.value.message == "Podium.prot: there is no such setting."
        assert raised.value.hint.startswith(
            "There are: archive_address, archive_directory, archive_limit, backend, "
        )

    def test_every_known_one_is_let_by(self) -> None:
        names = ["config_file", "ip", "port", "profiles", "state", "log_level"]
        check_names(Config({"Podium": dict.fromkeys(names, None)}))
        check_names(Config())


class TestValues:
    @pytest.mark.parametrize(
        ("line", "named"),
        [
            ("c.Podium.port = '8001'", "port"),
            ("c.Podium.port = 0", "port"),
            ("c.Podium.port = 65536", "port"),
            ("c.Podium.port = -1", "port"),
            ("c.Podium.port = 80.5", "port"),
            ("c.Podium.ip = 1", "ip"),
            ("c.Podium.ip = None", "ip"),
            ("c.Podium.state = 5", "state"),
            ("c.Podium.profiles = ['small']", "profiles"),
            ("c.Podium.profiles = None", "profiles"),
            ("c.Podium.profiles = {}", "Podium.profiles"),
            ("c.Podium.log_level = 'LOUD'", "log_level"),
        ],
    )
    def test_in_the_file(self, capsys: pytest.CaptureFixture[str], line: str, named: str) -> None:
        assert named in problem(capsys, GOOD + line)

    @pytest.mark.parametrize(
        "option", ["--port=0", "--port=65536", "--port=x", "--port=", "--log-level=LOUD"]
    )
    def test_on_the_command_line(self, capsys: pytest.CaptureFixture[str], option: str) -> None:
        assert option.strip("-").partition("=")[0].replace("-", "_") in problem(capsys, GOOD, option)

    @pytest.mark.parametrize(
        "ip",
        [
            *(
                "0.0.0.0",
                "",
                "10.0.0.1",
                "192.168.1.5",
                "8.8.8.8",
                "::",
                "::1",
                "localhost",
                "example.org",
                "127.0.0.1.evil",
            ),
            *("127.1", "2130706433", "*", "128.0.0.1", "126.255.255.255", "::ffff:127.0.0.1"),
        ],
    )
    def test_an_address_that_others_could_reach(self, capsys: pytest.CaptureFixture[str], ip: str) -> None:
        text = problem(capsys, GOOD, f"--ip={ip}")
        assert text.startswith(f"Podium.ip: {ip} is not an address of the loopback network")

    @pytest.mark.parametrize("url", ["podium.example.org", "https://podium.example.org/class", "https://"])
    def test_a_public_address_that_is_none(self, capsys: pytest.CaptureFixture[str], url: str) -> None:
        text = problem(capsys, GOOD, f"--Podium.public_url={url}")
        assert text.startswith(f"Podium.public_url: {url!r} is not an address")

    @pytest.mark.parametrize("ip", ["127.0.0.1", "127.0.0.2", "127.255.255.254"])
    def test_an_address_of_this_machine(self, ip: str) -> None:
        app, _ = configured(GOOD, f"--ip={ip}")
        assert app.ip == ip


class TestProfiles:
    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"max_wokers": 5}, "max_wokers"),
            ({"max_workers": "5"}, "max_workers"),
            ({"max_workers": -1}, "max_workers"),
            ({"max_workers": 5000}, "max_workers"),
            ({"workers": 2.5}, "workers"),
            ({"workers": 9, "max_workers": 8}, "workers"),
            ({"max_workers": 1}, "workers"),
            ({"clusters": {"dask": {"workers": 9}}}, "clusters.dask"),
            ({"clusters": {"dask": 2}}, "clusters"),
            ({"clusters": {"ray": {}}}, "clusters"),
            ({"clusters": ["dask"]}, "clusters"),
            ({"clusters": {"spark": {}}, "frameworks": ["dask"]}, "clusters.spark"),
            ({"frameworks": ["ray"]}, "frameworks"),
            ({"frameworks": "dask"}, "frameworks"),
            ({"resources": {"driver": {}}}, "resources"),
            ({"resources": {"worker": {"cpu": 0}}}, "resources.worker.cpu"),
            ({"resources": {"worker": {"memory": 1024}}}, "resources.worker.memory"),
            ({"resources": {"worker": {"memory": "1GB"}}}, "resources.worker.memory"),
            ({"resources": {"worker": {"memroy": "1Gi"}}}, "memroy"),
            ({"content": [{"git": "ext::sh -c id"}]}, "content"),
            ({"content": [{"git": "https://example.org/x.git", "branch": "x"}]}, "branch"),
            ({"content": [{"git": "https://example.org/x.git", "ref": "-x"}]}, "ref"),
            ({"content": [{"git": "https://example.org/x.git", "path": "../x"}]}, "path"),
            ({"wall_time": "8h"}, "wall_time"),
            ({"wall_time": 59}, "wall_time"),
            ({"idle_time": 10**9}, "idle_time"),
            ({"launch_timeout": 0}, "launch_timeout"),
            ({"title": ""}, "title"),
            ({"title": 5}, "title"),
            ({"description": "x" * 1001}, "description"),
            ({"image": "x" * 513}, "image"),
            ({5: 1}, "expected str"),
        ],
    )
    def test_a_mistake_is_named_as_it_was_written(
        self, capsys: pytest.CaptureFixture[str], settings: dict[object, object], named: str
    ) -> None:
        text = problem(capsys, f"c = get_config()\nc.Podium.profiles = {{'small': {settings!r}}}")
        assert named in text
        assert "small" in text

    @pytest.mark.parametrize(
        "name", ["", "Big", "two words", "-x", "x-", "a" * 64, "../x", "<b>", "ü", "a\n"]
    )
    def test_a_name_that_would_not_do(self, name: str) -> None:
        with pytest.raises(ConfigurationError) as raised:
            read_profiles({name: {}})
        assert repr(name) in raised.value.message

    @pytest.mark.parametrize("values", [None, 5, "dask", ["dask"]])
    def test_what_is_no_profile(self, values: object) -> None:
        with pytest.raises(ConfigurationError, match="small"):
            read_profiles({"small": values})


class TestRegistries:
    def test_are_a_docker_configuration(self, folder: Path) -> None:
        (folder / "config.json").write_text('{"auths": {"registry.example.org": {}}}')
        assert "registry.example.org" in read_registries("config.json")

    @pytest.mark.parametrize("text", ["", "{}", "[]", "auths", '"auths"'])
    def test_that_are_none(self, folder: Path, text: str) -> None:
        (folder / "config.json").write_text(text)
        with pytest.raises(ConfigurationError, match=r"config\.json is no Docker configuration"):
            read_registries("config.json")

    def test_that_are_missing(self) -> None:
        with pytest.raises(ConfigurationError, match=r"nowhere\.json"):
            read_registries("nowhere.json")


class TestSecretsOfTheEnvironment:
    KEY = "k" * 32

    def test_are_none_without_a_key(self) -> None:
        assert secrets_given({"PODIUM_API_TOKEN": "t" * 32}) is None

    def test_are_what_was_given(self) -> None:
        given = {"PODIUM_HUB_KEY": self.KEY, "PODIUM_API_TOKEN": "t" * 32}
        assert secrets_given(given) == Secrets(self.KEY.encode(), "t" * 32, "")

    def test_of_sign_in_are_there_too(self) -> None:
        given = {
            "PODIUM_HUB_KEY": self.KEY,
            "PODIUM_INSTRUCTOR_PASSWORD": "12345678",
            "PODIUM_OIDC_SECRET": "s",
        }
        found = secrets_given(given)
        assert found is not None
        assert (found.instructor, found.oidc) == ("12345678", "s")

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            ({"PODIUM_HUB_KEY": "short"}, "PODIUM_HUB_KEY"),
            ({"PODIUM_HUB_KEY": KEY, "PODIUM_API_TOKEN": ""}, "PODIUM_API_TOKEN"),
            ({"PODIUM_HUB_KEY": KEY, "PODIUM_INSTRUCTOR_PASSWORD": "1234567"}, "PODIUM_INSTRUCTOR_PASSWORD"),
            (
                {"PODIUM_HUB_KEY": KEY, "CONFIGPROXY_AUTH_TOKEN": "with spaces, so none"},
                "CONFIGPROXY_AUTH_TOKEN",
            ),
        ],
    )
    def test_that_cannot_be_used_are_named(self, given: dict[str, str], named: str) -> None:
        with pytest.raises(ConfigurationError, match=named):
            secrets_given(given)


class TestSignIn:
    PROVIDER = "c.Podium.oidc = {'issuer': 'https://login.example.org', 'client_id': 'podium'}\n"

    def test_of_a_class_may_be_found_by_others(self) -> None:
        app, _ = configured(GOOD + "c.Podium.sign_in = 'class'\nc.Podium.ip = '0.0.0.0'\n")
        assert (app.sign_in, app.provider()) == ("class", None)

    def test_at_a_provider_says_which(self) -> None:
        app, _ = configured(GOOD + self.PROVIDER + "c.Podium.sign_in = 'oidc'\n")
        assert app.provider().issuer == "https://login.example.org"

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("c.Podium.sign_in = 'oidc'\n", "Podium.oidc, issuer"),
            (f"c.Podium.sign_in = 'oidc'\nc.Podium.ip = '0.0.0.0'\n{PROVIDER}", "Podium.public_url"),
            ("c.Podium.sign_in = 'oidc'\nc.Podium.oidc = {'secret': 'a'}\n", "secret"),
            ("c.Podium.sign_in = 'ldap'\n", "sign_in"),
        ],
    )
    def test_that_cannot_be_is_named(self, capsys: pytest.CaptureFixture[str], text: str, named: str) -> None:
        assert named in problem(capsys, GOOD + text)
