"""Jupyter's manager of kernels and the mother: a fork where she bears one, a process where she does not."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from widgets.server.kernels import KERNEL, KernelsHere, OwnKernelSpecs
from widgets.server.mother.kernel import BornProvisioner, make_known


class NoRooms:
    """What a manager of kernels tells its rooms, and nobody hears."""

    spare = None

    def forget(self, kernel_id: str) -> None:
        """It is gone."""

    @contextmanager
    def ending(self, kernel_id: str) -> Iterator[None]:
        """It ends."""
        yield


class Asked:
    """A mother who bears nobody, or the process that a test has in mind."""

    def __init__(self, child: subprocess.Popen[bytes] | None = None) -> None:
        self.child = child
        self.told: list[tuple[list[str], dict[str, str], str]] = []

    async def bear(self, argv: list[str], environment: dict[str, str], folder: str) -> Any:
        """Notes what she is told."""
        self.told.append((argv, environment, folder))
        return self.child


def started(mother: Asked, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The provisioner of a kernel that was started with this mother, and has ended."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    kernels: Any = KernelsHere(kernel_spec_manager=OwnKernelSpecs())
    kernels.rooms, kernels.mother = NoRooms(), mother
    make_known(None)

    async def scene() -> Any:
        kernel_id = await kernels.start_kernel(
            kernel_name=KERNEL, env={**os.environ, "WHOSE": "mine"}, cwd=str(folder)
        )
        kernel = kernels.get_kernel(kernel_id)
        found = kernel.provisioner, kernel.provisioner.process
        assert await kernel.is_alive()
        await kernels.shutdown_kernel(kernel_id, now=True)
        assert not kernel.has_kernel
        return found

    return asyncio.run(scene())


def test_a_kernel_is_started_where_none_is_born(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """She was asked first, with what Jupyter would have started."""
    mother = Asked()
    provisioner, process = started(mother, tmp_path, monkeypatch)
    assert isinstance(provisioner, BornProvisioner) and isinstance(process, subprocess.Popen)
    assert process.poll() is not None and "ipykernel_launcher" in process.args  # type: ignore[operator]
    ((argv, environment, folder),) = mother.told
    assert argv[0] == "-f" and Path(argv[1]).suffix == ".json"
    assert environment["WHOSE"] == "mine" and environment["JPY_PARENT_PID"] == str(os.getpid())
    assert folder == str(tmp_path)


def test_one_that_is_born_is_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is watched and ended as another would be."""
    child = subprocess.Popen(["sleep", "600"])
    _, process = started(Asked(child), tmp_path, monkeypatch)
    assert process is child and child.poll() is not None
