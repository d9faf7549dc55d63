"""The kernels: this interpreter, in a folder of its own, behind the fence, and gone without a trace."""

from __future__ import annotations

import sys
from typing import Any
from uuid import uuid4

from ipykernel.kernelspec import RESOURCES
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager, ServerKernelManager
from traitlets import default

from widgets.server.mother.asking import Mother
from widgets.server.mother.kernel import LAUNCHER, NAME

KERNEL = "python3"
MESSAGES = ("comm_open", "comm_close", "comm_msg", "comm_info_request", "kernel_info_request")
"""What a page may send to its kernel; nothing that runs code or ends it."""


class OwnKernelSpecs(KernelSpecManager):
    """The one kernel there is: this interpreter, whatever kernels the user has registered."""

    def find_kernel_specs(self) -> dict[str, str]:
        return {KERNEL: RESOURCES}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """A kernel that imports nothing from the working folder: a user's `graph.py` stays out."""
        argv = [sys.executable, *LAUNCHER, "-f", "{connection_file}"]
        argv += ["--InteractiveShellApp.ignore_cwd=True", "--HistoryManager.enabled=False"]
        argv += ["--IPKernelApp.quiet=False"]  # what it logs is for the server's terminal
        return KernelSpec(
            argv=argv,
            display_name="Model Surgery",
            language="python",
            resource_dir=RESOURCES,
            metadata={"debugger": False, "kernel_provisioner": {"provisioner_name": NAME}},
        )


class KernelHere(ServerKernelManager):
    """One kernel, to whom several may speak at once: pages that load, and whoever makes it ready.

    Replies go by the name of a session, so each of them has its own.
    """

    def client(self, **kwargs: Any) -> Any:
        session = self.session.clone()
        session.session = uuid4().hex
        return super().client(**{"session": session, **kwargs})


class KernelsHere(AsyncMappingKernelManager):
    """Kernels in rooms: `rooms` knows whose each is, and is told when one is gone; `mother` bears them."""

    rooms: Any = None
    mother: Mother | None = None

    @default("kernel_manager_class")
    def _default_kernel_manager_class(self) -> str:
        return f"{__name__}.KernelHere"

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """The one that waits for the next visitor is idle, and stays."""
        if kernel_id != self.rooms.spare:
            await super().cull_kernel_if_idle(kernel_id)  # type: ignore[no-untyped-call]

    def notify_connect(self, kernel_id: str) -> None:
        """A page has reached its kernel."""
        super().notify_connect(kernel_id)  # type: ignore[no-untyped-call]
        self.rooms.arrived(kernel_id)

    def notify_disconnect(self, kernel_id: str) -> None:
        """A page was closed, or lost."""
        super().notify_disconnect(kernel_id)  # type: ignore[no-untyped-call]
        self.rooms.left(kernel_id)

    async def shutdown_kernel(  # type: ignore[override]
        self, kernel_id: str, now: bool = False, restart: bool = False
    ) -> None:
        """Nobody is let into a kernel that is ending."""
        with self.rooms.ending(kernel_id):
            await super().shutdown_kernel(kernel_id, now=now, restart=restart)  # type: ignore[no-untyped-call]

    def remove_kernel(self, kernel_id: str) -> Any:
        """However it ended: killed, culled, dead."""
        self.rooms.forget(kernel_id)
        return super().remove_kernel(kernel_id)


class QuietConnection(ZMQChannelsWebsocketConnection):
    """A page's connection to its kernel, without what is for the log: streams, errors, tracebacks."""

    def handle_outgoing_message(self, stream: Any, outgoing_msg: Any) -> None:
        """Drops what a page has no use for; it would say names of files and lines of code."""
        kind = self._get_message_type(outgoing_msg)
        if kind not in ("stream", "error", "execute_input", "execute_reply"):
            super().handle_outgoing_message(stream, outgoing_msg)

    def _get_message_type(self, outgoing_msg: Any) -> str:
        _, parts = self.session.feed_identities(outgoing_msg)
        return str(self.session.unpack(parts[1]).get("msg_type", ""))
