"""The studio's page: for a visitor who may come in, with the kernel that is theirs."""

from __future__ import annotations

import asyncio
from typing import Any

import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.iostream import StreamClosedError
from voila.notebook_renderer import NotebookRenderer
from voila.utils import get_page_config

from widgets.server.handlers.card import CardHandler
from widgets.server.rooms import Full, Rooms

HEARTBEAT_S = 10.0
RESTART_S, POLL_S = 30.0, 0.1
_HEARTBEAT = "<script>window.voila_heartbeat()</script>\n"


class PageHandler(CardHandler):
    """Voila's page, on a kernel that lives longer than it: a reload finds the session as it was."""

    def initialize(self, rooms: Rooms, **voila: Any) -> None:
        """`voila`: what Voila gives its own handler."""
        self.rooms, self.voila = rooms, voila

    @allow_unauthenticated  # which would answer with another server's form; who may is the first question
    async def get(self, path: str | None = None) -> None:
        """The page. 403 or the login to whom it does not know, 404 for other paths, 503 if full."""
        if self.current_user is None:
            if not self.password_hash:
                raise tornado.web.HTTPError(403)
            self.redirect(f"{self.base_url}login")
            return
        if path:
            raise tornado.web.HTTPError(404)
        try:
            kernel_id = await self.rooms.enter(self.current_user.username)
        except Full:
            self.set_header("Retry-After", "60")
            self.card(503, "full.html", most=self.rooms.options.visitors)
            return
        _ = self.xsrf_token  # reading it sets its cookie; without that the tab's farewell is refused
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")
        await self._stream(kernel_id)

    async def _stream(self, kernel_id: str) -> None:
        """Sends the page as it comes; a line now and then keeps proxies patient while a model is opened."""
        parts: asyncio.Queue[str | None] = asyncio.Queue()
        making = asyncio.create_task(self._make(kernel_id, parts))
        while True:
            try:
                part = await asyncio.wait_for(parts.get(), HEARTBEAT_S)
            except TimeoutError:
                part = _HEARTBEAT
            if part is None:
                break
            try:
                self.write(part)
                await self.flush()
            except StreamClosedError:  # whoever asked is gone; the cell is run to its end all the same
                break
        await making

    async def _make(self, kernel_id: str, parts: asyncio.Queue[str | None]) -> None:
        try:
            page = await self._page()
            kernel = self.kernel_manager.get_kernel(kernel_id)
            await _started_again(kernel)
            async for part, _ in page.generate_content_generator(kernel_id, _there(kernel)):
                parts.put_nowait(part)
        except Exception:
            self.log.exception("the page could not be made")
            parts.put_nowait("<script>window.ms_failed?.()</script>")
        finally:
            parts.put_nowait(None)

    async def _page(self) -> NotebookRenderer:
        told = {"base_url": self.base_url, "voila_configuration": self.voila["voila_configuration"]}
        config = get_page_config(settings=self.settings, log=self.log, **told)
        config["themesUrl"] = f"{self.base_url}voila/api/themes"
        page = NotebookRenderer(
            request_handler=self,
            traitlet_config=self.voila["config"],
            notebook_path=self.voila["notebook_path"],
            template_paths=self.voila["template_paths"],
            config_manager=self.config_manager,
            contents_manager=self.contents_manager,
            kernel_spec_manager=self.kernel_spec_manager,
            prelaunch_hook=None,
            page_config=config,
            mathjax_config=None,
            mathjax_url=None,
            **told,
        )
        await page.initialize(template=None, theme=None)
        return page


async def _there(kernel: Any) -> Any:
    return kernel


async def _started_again(kernel: Any) -> None:
    """Waits for a kernel that was killed: it is started again soon, and before that no page could be made."""
    for _ in range(round(RESTART_S / POLL_S)):
        if await kernel.is_alive():
            return
        await asyncio.sleep(POLL_S)
