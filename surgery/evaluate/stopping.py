"""How a running evaluation is stopped."""

import threading
from collections.abc import Callable


class Stopped(Exception):
    """The evaluation was stopped on request; there is no result."""


def checker(stop: threading.Event | None) -> Callable[[], None]:
    """A function that raises Stopped once `stop` is set."""

    def check() -> None:
        if stop is not None and stop.is_set():
            raise Stopped("the evaluation was stopped")

    return check
