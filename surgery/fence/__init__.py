"""The fence: what a process may read and write of the disk where it serves others than its own user.

There is none until one is put up. Every door that opens or writes a file asks `reading`, `folder` or
`writing`, and every name that is no place asks `naming`; `surgery.fence.hook` is the second line, which
sees what forgot to ask. See docs/security.md.
"""

from surgery.fence.doors import folder, naming, reading, writing
from surgery.fence.limits import VARIABLE, Fence, Outside, ask_environment, current, fenced_in, put_up

__all__ = [
    "VARIABLE",
    "Fence",
    "Outside",
    "ask_environment",
    "current",
    "fenced_in",
    "folder",
    "naming",
    "put_up",
    "reading",
    "writing",
]
