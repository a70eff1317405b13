"""Where settings come from: a file of Python or YAML, and secrets from the environment.

Nothing here may know what a setting means.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from hub.errors import ConfigurationError

KEY_VARIABLE = "PODIUM_HUB_KEY"
TOKEN_VARIABLE = "PODIUM_API_TOKEN"  # noqa: S105 - the name of a variable
PROXY_VARIABLE = "CONFIGPROXY_AUTH_TOKEN"
PASSWORD_VARIABLE = "PODIUM_INSTRUCTOR_PASSWORD"  # noqa: S105 - the name of a variable
OIDC_VARIABLE = "PODIUM_OIDC_SECRET"
LEAST_PASSWORD = 8
SUFFIXES = (".py", ".yaml", ".yml")


@dataclass(frozen=True)
class Secrets:
    """What a hub must not lose and nobody else may know.

    Args:
        key: all other secrets are derived from it.
        token: the API's bearer token; empty where nothing asks for it.
        proxy: what the proxy's API asks for.
        instructor: the password of those who teach; empty where none was given.
        oidc: the hub's own secret at the provider where people sign in; empty for none.
    """

    key: bytes
    token: str
    proxy: str
    instructor: str = ""
    oidc: str = ""


def read_file(path: Path) -> Config:
    """The settings in a file: Python, which sets `c.Podium.…`, or YAML, the same as data.

    Raises:
        ConfigurationError: when there is no such file, or it cannot be used.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigurationError(f"The configuration file {path} must end in .py or .yaml.")
    if not path.exists():
        raise ConfigurationError(f"There is no configuration file {path}.")
    try:
        if path.suffix == ".py":
            return PyFileConfigLoader(path.name, str(path.resolve().parent)).load_config()
        found = yaml.safe_load(path.read_text())
    except Exception as error:
        # Whatever a configuration file does wrong, its author wants to hear in one line.
        raise ConfigurationError(f"The configuration file {path} cannot be used: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
        raise ConfigurationError(f"The configuration file {path} must begin with `Podium:` and its settings.")
    return Config(found)


def read_registries(file: str) -> str:
    """The text of a Docker configuration. Raises ConfigurationError when the file holds none."""
    try:
        text = Path(file).read_text()
        json.loads(text)["auths"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"Podium.registries: {file} is no Docker configuration: {error}",
            'It begins with {"auths": …}; `kubectl create secret docker-registry` makes one.',
        ) from None
    return text


def secrets_given(environment: Mapping[str, str] = os.environ) -> Secrets | None:
    """The secrets, where the environment has them, as it does in a pod; None where it has no key.

    Raises:
        ConfigurationError: naming the variable that is missing or cannot be used.
    """
    if KEY_VARIABLE not in environment:
        return None
    if len(environment[KEY_VARIABLE]) < 32:
        raise ConfigurationError(
            f"{KEY_VARIABLE} is too short to be a secret.",
            "Give at least 32 characters: openssl rand -hex 32",
        )
    tokens = {
        name: checked_token(name, environment[name]) if name in environment else ""
        for name in (TOKEN_VARIABLE, PROXY_VARIABLE)
    }
    return Secrets(
        environment[KEY_VARIABLE].encode(),
        tokens[TOKEN_VARIABLE],
        tokens[PROXY_VARIABLE],
        **sign_in_secrets(environment),
    )


def sign_in_secrets(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The secrets of sign-in, by their names in `Secrets`; what the environment does not have is empty.

    Raises:
        ConfigurationError: when the password is so short that it can be guessed.
    """
    password = environment.get(PASSWORD_VARIABLE, "")
    if password and len(password) < LEAST_PASSWORD:
        raise ConfigurationError(
            f"{PASSWORD_VARIABLE} is too short to be a password.",
            f"Give at least {LEAST_PASSWORD} characters.",
        )
    return {"instructor": password, "oidc": environment.get(OIDC_VARIABLE, "")}


def checked_token(name: str, given: str) -> str:
    """A token as it was given in a variable. Raises ConfigurationError when it can be none."""
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]{16,512}", given):
        raise ConfigurationError(
            f"{name} is not usable as a token.",
            "Give at least 16 letters, digits or ._~+/=-, for example from: openssl rand -hex 32",
        )
    return given


def is_loopback(address: str) -> bool:
    """Whether an address is one that this machine alone can reach."""
    try:
        return ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False
