"""Pages that say one thing: a refusal, a request for the password, that there is no room."""

from __future__ import annotations

from typing import Any

from jupyter_server.base.handlers import JupyterHandler

from widgets.server.policy import policy


class CardHandler(JupyterHandler):
    """Answers with our own templates, under our own policy, and never with a traceback."""

    @property
    def content_security_policy(self) -> str:
        """That of the pages, for the host they are reached by."""
        return policy(self.request.host)

    @property
    def password_hash(self) -> str:
        """What a password is held against; empty where the server has a token."""
        return str(getattr(self.identity_provider, "hashed_password", ""))

    def card(self, status: int, name: str, **said: Any) -> None:
        """Answers with a template."""
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")
        template = self.settings["voila_jinja2_env"].get_template(name)
        self.finish(template.render(base_url=self.base_url, status_code=status, **said))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A sentence; what went wrong is in the log."""
        name = None if self.check_host() else self.request.host_name
        self.card(status_code, "error.html", status_message=self._reason, unknown_name=name)
