"""The state directory of a hub on one machine: its lock, its key, its token.

Everything else in it belongs to the store and the backend. Nothing here may start anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from pathlib import Path

from hub.configuration import TOKEN_VARIABLE, checked_token
from hub.errors import ConfigurationError


def default_directory(port: int) -> Path:
    """Where the hub on a port keeps its state. Source: XDG Base Directory Specification."""
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "podium" / str(port)


class State:
    """A state directory that no other hub may use at the same time.

    Args:
        directory: made, with mode 0700, if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self._lock: int | None = None

    @property
    def hub(self) -> str:
        """Tells the processes of this hub from those of another on the same machine."""
        return hashlib.sha256(str(self.directory).encode()).hexdigest()[:16]

    def open(self, alone: bool = True) -> None:
        """Make the directory and keep others out until this process ends.

        Args:
            alone: False for a part of a hub, whose other parts share the directory for its keys.

        Raises:
            ConfigurationError: when another hub uses it, or it cannot be made.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.chmod(0o700)
            if not alone:
                return
            # Children must not inherit the lock, or it would outlive a hub that was killed.
            self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"Another podium is running with the state in {self.directory}.",
                "Use that one, stop it, or start this one on another port: make run PORT=8001",
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"The state directory {self.directory} cannot be used: {error.strerror}.",
                "Choose another with --state.",
            ) from None

    def key(self) -> bytes:
        """The hub's key, made at the first start."""
        return self._secret("key", lambda: secrets.token_hex(32)).encode()

    def token(self) -> str:
        """The API token: `PODIUM_API_TOKEN` if it is set, else one that is made at the first start.

        Raises:
            ConfigurationError: when the variable holds something that cannot be a token.
        """
        given = os.environ.get(TOKEN_VARIABLE)
        if given is None:
            return self._secret("token", lambda: secrets.token_urlsafe(32))
        self._write("token", checked_token(TOKEN_VARIABLE, given))
        return given

    def read_token(self) -> str:
        """The token for a client on the same machine.

        Raises:
            ConfigurationError: when no hub has run here.
        """
        try:
            return os.environ.get(TOKEN_VARIABLE) or (self.directory / "token").read_text()
        except OSError:
            raise ConfigurationError(
                f"There is no token in {self.directory}.",
                f"Start podium, or set {TOKEN_VARIABLE}; --port chooses among several hubs.",
            ) from None

    def _secret(self, name: str, make: object) -> str:
        path = self.directory / name
        if path.exists():
            return path.read_text()
        assert callable(make)
        temporary = self._written(name, str(make()))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)  # of two parts that start at once, one is first
        temporary.unlink()
        return path.read_text()

    def _write(self, name: str, value: str) -> None:
        self._written(name, value).replace(self.directory / name)

    def _written(self, name: str, value: str) -> Path:
        """A file of mode 0600 beside the one of that name."""
        temporary = self.directory / f"{name}.{os.getpid()}.new"
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(value)
        return temporary
