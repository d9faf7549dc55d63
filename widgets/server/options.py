"""What a server was asked to be, and which of it is refused."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from surgery.fence import Fence

HOST, PORT = "127.0.0.1", 8866
MEGABYTE = 1_000_000
LEAST_TOKEN = 16


@dataclass(frozen=True, kw_only=True)
class Options:
    """A server's settings; all have defaults that are safe on one's own machine."""

    model: str | None = None
    script: str | None = None
    device: str | None = None
    host: str = HOST
    port: int | None = None
    base_url: str = "/"
    names: tuple[str, ...] = ()
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    password: str = ""
    models: tuple[str, ...] = ()
    out: str | None = None
    hub: bool = False
    visitors: int = 8
    idle_s: float = 300.0
    keep_s: float = 15.0
    upload_bytes: int = 8 * MEGABYTE
    spare: bool = True
    window: bool = False
    browser: bool = True

    @property
    def is_open(self) -> bool:
        """Whether others than this machine's user can reach it: by its address, or through a proxy."""
        return not is_loopback(self.host) or any(not is_loopback(name) for name in self.names)

    @property
    def is_fenced(self) -> bool:
        """Whether visitors keep to folders that are given."""
        return self.is_open or bool(self.models or self.out)

    def fence(self, *own: Path) -> Fence | None:
        """The fence round a visitor's process, whose own places are given; None on one's own machine."""
        if not self.is_fenced:
            return None
        # What the server was started with may be opened, wherever it lies.
        given = [source for source in (self.model, self.script) if source is not None]
        places = tuple(source for source in given if Path(source).exists())
        named = tuple(source for source in given if source not in places)
        write = () if self.out is None else (self.out,)
        return Fence.of((*self.models, *places), write, own, named, hub=self.hub)

    def refusal(self) -> str | None:
        """Why no such server is started, in a sentence; None if it can be."""
        for flag, value in (("MODEL", self.model), ("--script", self.script)):
            if value is not None and value.startswith("-"):
                return f"{flag}: is no name; got {value}. Try: surgery app --help."
        if self.script is not None and not Path(self.script).is_file():
            return f"--script: there is no such file; got {self.script}."
        if self.is_open and (not self.models or self.out is None):
            reached = self.host if not is_loopback(self.host) else self.names[0]
            return (
                f"--host, --name: others can reach {reached}, so what they may read and write is to be said; "
                "got no --models or no --out. Try: --models DIR --out DIR."
            )
        for flag, folders in (("--models", self.models), ("--out", () if self.out is None else (self.out,))):
            for folder in folders:
                if not Path(folder).is_dir():
                    return f"{flag}: there is no such folder; got {folder}."
        if not self.password and len(self.token) < LEAST_TOKEN:
            return (
                f"SURGERY_TOKEN: is too short to keep anyone out; got {len(self.token)} characters, expected "
                f"{LEAST_TOKEN} or more. Try: leaving it out, and one is made."
            )
        if self.visitors < 1 or self.idle_s <= 0 or self.keep_s < 0 or self.upload_bytes < MEGABYTE:
            return "--visitors, --upload-limit: expected 1 or more; --idle: more than 0; --keep: 0 or more."
        return None


def is_loopback(host: str) -> bool:
    """Whether a name or address can only be this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def base_url_of(text: str) -> str:
    """`/studio/` for `studio`, `/studio` and `/studio/`."""
    inner = text.strip("/")
    return f"/{inner}/" if inner else "/"
