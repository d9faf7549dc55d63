"""Kernels as Jupyter knows them, born of the mother where there is one."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

NAME = "model-surgery"
LAUNCHER = ["-m", "ipykernel_launcher"]


class BornProvisioner(LocalProvisioner):
    """Jupyter's own, which is told of a fork what it else knows of a `Popen`."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """A fork of the mother that the manager of kernels has; without one, a process as ever."""
        manager: Any = self.parent
        mother = manager.parent.mother
        folder = kwargs.get("cwd") or os.getcwd()
        if mother is not None and cmd[1:3] == LAUNCHER:
            environment = {**kwargs.get("env", os.environ), "JPY_PARENT_PID": str(os.getpid())}
            born = await mother.bear(cmd[3:], environment, folder)
            if born is not None:
                self.process, self.pid, self.pgid = born, born.pid, None  # it signals its group itself
                self.cwd = Path(folder)
                return self.connection_info
        return await super().launch_kernel(cmd, **kwargs)


def make_known(parent: Any) -> None:
    """Has Jupyter find the provisioner by its name in this process, and in no other."""
    place = EntryPoint(NAME, f"{__name__}:{BornProvisioner.__name__}", KernelProvisionerFactory.GROUP_NAME)
    KernelProvisionerFactory.instance(parent=parent).provisioners[NAME] = place
