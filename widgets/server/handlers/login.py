"""Where the server has a password: the form that asks for it."""

from __future__ import annotations

import asyncio

import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.security import passwd_check

from widgets.server.handlers.card import CardHandler

WAIT_S = 1.0
"""After a wrong password; one at a time is tried, so that is how fast anybody can guess."""

MOST_WAITING = 20

_trying = asyncio.Lock()
_waiting = 0


class LoginHandler(CardHandler):
    """The form, and the cookie for those who know."""

    @allow_unauthenticated
    def get(self) -> None:
        """The form; nothing where there is no password."""
        self._only_with_password()
        self._ask(200)

    @allow_unauthenticated
    async def post(self) -> None:
        """On to the studio with the right password; the form again, after a while, with another."""
        global _waiting
        self._only_with_password()
        if _waiting >= MOST_WAITING:
            raise tornado.web.HTTPError(429)
        said, kept = self.get_body_argument("password", default=""), self.password_hash
        _waiting += 1
        try:
            async with _trying:
                right = await asyncio.to_thread(passwd_check, kept, said)
                if not right:
                    await asyncio.sleep(WAIT_S)
        finally:
            _waiting -= 1
        if not right:
            self.log.warning("a wrong password was tried from %s", self.request.remote_ip)
            self._ask(401, wrong=True)
            return
        user = self.identity_provider.generate_anonymous_user(self)
        self.identity_provider.set_login_cookie(self, user)
        self.redirect(self.base_url)

    def _only_with_password(self) -> None:
        if not self.password_hash:
            raise tornado.web.HTTPError(404)

    def _ask(self, status: int, *, wrong: bool = False) -> None:
        self.card(status, "login.html", wrong=wrong, xsrf=self.xsrf_token.decode())
