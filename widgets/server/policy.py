"""The content policy of the pages: nothing comes from, or goes to, another host."""

from __future__ import annotations

import re

_HOST = re.compile(r"[\w.\-]+(:\d+)?|\[[0-9a-fA-F:.]+\](:\d+)?")


def policy(host: str = "") -> str:
    """For pages reached by `host`. Widgets arrive as blobs and evaluate templates.

    Not every browser counts sockets of its own host among `'self'`, so these are named.
    """
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return "; ".join(
        [
            "default-src 'self' data: blob:",
            "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
            "style-src 'self' 'unsafe-inline' blob:",
            f"connect-src 'self' data: blob:{sockets}",
            "object-src 'none'",
            "frame-ancestors 'self'",
            "base-uri 'self'",
            "form-action 'self'",
        ]
    )
