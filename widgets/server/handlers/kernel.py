"""A page's way to its own kernel, and its farewell."""

from __future__ import annotations

import tornado.web
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.services.kernels.handlers import KernelHandler

from widgets.server.rooms import Rooms


class OwnKernelHandler(KernelHandler):
    """What is to be known of one's own kernel; it is ended by closing the page."""

    SUPPORTED_METHODS = ("GET", "HEAD", "OPTIONS")


class FarewellHandler(APIHandler):
    """A page was closed."""

    auth_resource = "kernels"

    def initialize(self, rooms: Rooms) -> None:
        """`rooms` waits a while, in case it was a reload."""
        self.rooms = rooms

    @tornado.web.authenticated
    @authorized
    async def post(self, kernel_id: str) -> None:
        """Sent by the page as it goes."""
        self.rooms.farewell(kernel_id)
        self.set_status(204)
        await self.finish()
