"""Kernels as Jupyter knows them, born of the mother where there is one."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from importlib.metadata import EntryPoint
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from widgets.server.mother.asking import Mother

NAME = "model-surgery"
LAUNCHER = ["-m", "ipykernel_launcher"]
END_S = 30.0


_log = logging.getLogger(__name__)


class Unborn:
    """Stands for a kernel that is on its way, as a process does that has only just been started."""

    stdin = stdout = stderr = None
    pid = None

    def __init__(self) -> None:
        self.is_wanted = True

    def poll(self) -> int | None:
        """None as long as it is wanted."""
        return None if self.is_wanted else 0

    def wait(self) -> int | None:
        """There is nothing to wait for."""
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Whoever wants its end need not wait until it is born."""
        if number != signal.SIGINT:
            self.is_wanted = False


class BornProvisioner(LocalProvisioner):
    """Jupyter's own, which is told of a fork what it else knows of a `Popen`."""

    process: Any

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """A fork of the mother that the manager of kernels has; without one, a process as ever.

        Either comes when it can: a page that is loaded while she still imports is sent meanwhile.
        """
        manager: Any = self.parent
        mother = manager.parent.mother
        if mother is None or cmd[1:3] != LAUNCHER:
            return await super().launch_kernel(cmd, **kwargs)
        unborn = self.process = Unborn()
        self.pid = self.pgid = None  # it signals its group itself
        self.cwd = kwargs.get("cwd") or os.getcwd()
        self._birth = asyncio.create_task(self._born(unborn, mother, cmd, kwargs))
        return self.connection_info

    async def _born(self, unborn: Unborn, mother: Mother, cmd: list[str], kwargs: dict[str, Any]) -> None:
        environment = {**kwargs.get("env", os.environ), "JPY_PARENT_PID": str(os.getpid())}
        try:
            born = await mother.bear(cmd[3:], environment, str(self.cwd))
            if not unborn.is_wanted:
                if born is not None:
                    born.kill()
                    await asyncio.to_thread(born.wait, END_S)
            elif born is not None:
                self.process, self.pid = born, born.pid
            else:
                await super().launch_kernel(cmd, **kwargs)
        except ConnectionAbortedError:  # the server is closing
            unborn.is_wanted = False
        except Exception:
            _log.exception("a kernel could not be started")
            unborn.is_wanted = False


def make_known(parent: Any) -> None:
    """Has Jupyter find the provisioner by its name in this process, and in no other."""
    place = EntryPoint(NAME, f"{__name__}:{BornProvisioner.__name__}", KernelProvisionerFactory.GROUP_NAME)
    KernelProvisionerFactory.instance(parent=parent).provisioners[NAME] = place
