"""Ray, as a sweep or a replay finds or starts it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from surgery.errors import SurgeryError

LOOPBACK = "127.0.0.1"
_LOCAL = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on Linux too it makes Ray listen on loopback alone
    "RAY_USAGE_STATS_ENABLED": "0",
}


@contextmanager
def connected(where: bool | str) -> Iterator[Any]:
    """Within, the module `ray`, connected.

    `where`: an address of a cluster, `"auto"` for the one that runs on this machine; True for the one that
    the caller has initialised, else that of the variable RAY_ADDRESS, else one on this machine alone, which
    listens on loopback and ends with the work. A cluster that was there goes on. Raises SurgeryError without
    Ray, and where there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise SurgeryError("Ray is not installed", hint="`pip install 'model-surgery[ray]'`") from error
    if ray.is_initialized():
        _refuse_another(ray, where)
        yield ray
        return
    _start(ray, os.environ.get("RAY_ADDRESS") or "local" if where is True else str(where))
    try:
        yield ray
    finally:
        ray.shutdown()


def _start(ray: Any, address: str) -> None:
    alone = address == "local"
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    more = {"num_cpus": count, "include_dashboard": False} if alone else {}
    try:
        with on_loopback() if alone else nullcontext():
            ray.init(address=address, log_to_driver=False, configure_logging=False, **more)
    except (Exception, SystemExit) as error:  # Ray ends the process where nothing answers
        ray.shutdown()
        said = f"{type(error).__name__}: {error}"
        if alone:  # it waits no more than 30 s for its own processes
            hint = "again, when the machine is less busy"
            raise SurgeryError(f"Ray cannot be started: {said}", hint=hint) from error
        raise SurgeryError(f"no cluster of Ray can be reached: {said}", got=address) from error
    if not alone:
        return
    found = sorted(node["NodeManagerAddress"] for node in ray.nodes())
    if found != [LOOPBACK]:
        ray.shutdown()
        raise SurgeryError(
            "this version of Ray cannot be kept to this machine",
            got=f"it listens at {', '.join(found)}",
            expected=LOOPBACK,
            hint="`ray.init()` first, and `ray=True` uses what that has started",
        )


def _refuse_another(ray: Any, where: bool | str) -> None:
    here = ray.get_runtime_context().gcs_address
    if where not in (True, "auto", "local", here):
        raise SurgeryError(
            "Ray is connected to another cluster", got=where, expected=here, hint="`ray.shutdown()` first"
        )


@contextmanager
def on_loopback() -> Iterator[None]:
    """Within, Ray takes this machine's address to be loopback, and its processes inherit that."""
    constants: Any = sys.modules.get("ray._private.ray_constants")
    was = getattr(constants, "ENABLE_RAY_CLUSTER", None)  # read from the variable when Ray is imported
    before = {name: os.environ.get(name) for name in _LOCAL}
    os.environ.update(_LOCAL)
    if was is not None:
        constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        if was is not None:
            constants.ENABLE_RAY_CLUSTER = was
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def said(error: Exception) -> str:
    """The cause of a failure, in a line."""
    cause = getattr(error, "cause", None) or error
    line = next((line for line in reversed(str(cause).splitlines()) if line.strip()), "")
    return f"{type(cause).__name__}: {line.strip()}"
