"""Who a visitor is: somebody with the token or the password, told apart by a signed cookie."""

from __future__ import annotations

import hmac
import re
from typing import Any

from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.auth.identity import PasswordIdentityProvider, User
from jupyter_server.auth.security import passwd
from traitlets import Callable

_HASHED = re.compile(r"(argon2|sha1|sha256|sha512):\S+")


def hashed(password: str) -> str:
    """The hash that jupyter_server keeps of a password; one that is hashed already stays."""
    return password if _HASHED.fullmatch(password) else str(passwd(password))  # type: ignore[no-untyped-call]


class Visitors(PasswordIdentityProvider):
    """Jupyter's cookie as it is, signed and out of reach of scripts: its random name is the visitor.

    No browser sends it along from another site's page, and each server has a name of its own for it.
    """

    async def get_user_token(self, handler: Any) -> User | None:
        """The visitor with the token in its address or header, compared in constant time."""
        said, token = self.get_token(handler) or "", handler.token or ""
        if not token or not hmac.compare_digest(said.encode(), token.encode()):
            return None
        known = self.get_user_cookie(handler)
        return known if isinstance(known, User) else self.generate_anonymous_user(handler)


class OwnKernelOnly(Authorizer):
    """A kernel is its visitor's alone; of one that is not there and one of another the answer is the same."""

    owns = Callable(lambda visitor, kernel_id: False)

    def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> bool:
        """Kernels by whose they are; nothing else is asked of this."""
        if resource != "kernels":
            return False
        kernel_id = handler.path_kwargs.get("kernel_id", "")
        return bool(kernel_id) and bool(self.owns(user.username, kernel_id))
