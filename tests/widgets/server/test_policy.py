"""What a page may load, and from where."""

from __future__ import annotations

import pytest

from widgets.server.policy import policy


def test_sockets_of_the_own_host_are_named() -> None:
    """With and without encryption, since a proxy may add it."""
    assert "connect-src 'self' data: blob: ws://studio.example:80 wss://studio.example:80;" in policy(
        "studio.example:80"
    )
    assert "ws://[::1]:8866" in policy("[::1]:8866")


@pytest.mark.parametrize("host", ["", "x; script-src *", "a b", "x,y", "ü.example\r\n"])
def test_a_host_that_is_none_adds_nothing(host: str) -> None:
    """A header that somebody made up does not become policy."""
    assert policy(host) == policy()
    assert "default-src 'self'" in policy(host) and "object-src 'none'" in policy(host)
