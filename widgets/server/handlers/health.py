"""Whether the server answers, for whoever watches over it."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler

from widgets.server.rooms import Rooms


class HealthHandler(JupyterHandler):
    """`{"status": "ok"}` to anybody, by whatever name the server is asked; more to those with the token."""

    def initialize(self, rooms: Rooms) -> None:
        """`rooms` knows how many visitors there are."""
        self.rooms = rooms

    def check_host(self) -> bool:
        """A container's own check asks by an address nobody else uses."""
        return True

    @allow_unauthenticated
    async def get(self) -> None:
        """Never an error as long as there is an answer at all."""
        said: dict[str, Any] = {"status": "ok"}
        if self.current_user is not None:
            said |= {"visitors": self.rooms.count(), "at_most": self.rooms.options.visitors}
        self.set_header("Cache-Control", "no-store")
        await self.finish(said)
