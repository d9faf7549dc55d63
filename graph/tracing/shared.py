"""Settings of the whole process that traces need, of which several may run at once."""

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Shared:
    """A setting that is at least so high while anybody needs it; the last puts back what was before."""

    def __init__(self, read: Callable[[], int], write: Callable[[int], object]) -> None:
        self.read, self.write = read, write
        self.lock, self.users, self.before = threading.Lock(), 0, 0

    @contextmanager
    def at_least(self, value: int) -> Iterator[None]:
        """The setting is `value` or more inside."""
        with self.lock:
            if not self.users:
                self.before = self.read()
            self.users += 1
            self.write(max(self.read(), value))
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if not self.users:
                    self.write(self.before)


def _collect(pause: int) -> None:
    (gc.disable if pause else gc.enable)()


uncollected = Shared(lambda: not gc.isenabled(), _collect)
"""Whether garbage is left for later: what a trace makes is kept to its end, so looking finds nothing."""
