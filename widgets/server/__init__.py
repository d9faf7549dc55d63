"""The standalone app: the studio as a page of its own, served by Voila.

`main` is what `surgery app` and `python app.py` call. Each visitor has one kernel, a Python process of the
same interpreter. See docs/deploy.md, and docs/security.md for what is trusted and what is not.
"""

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the studio until Ctrl-C; `argv` as on the command line, without the program's name."""
    from widgets.server.command import run

    return run(argv)
