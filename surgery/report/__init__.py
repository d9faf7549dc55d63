"""A session as one page of HTML: what was done, what it cost, and on what that hangs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from surgery.picture.text import safe
from surgery.report.advised import advised
from surgery.report.edits import edits
from surgery.report.figures import headline, measured
from surgery.report.grounds import grounds
from surgery.report.markup import pairs, section
from surgery.report.pictures import pictures
from surgery.report.style import STYLE
from surgery.report.sweeps import swept
from surgery.report.trade import trade
from surgery.show.about import detail_of, name_of

if TYPE_CHECKING:
    from surgery.session import Session

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing is loaded and nothing runs, whatever a name in the page is made of."""


def report_html(session: Session, opened: str | None = None) -> str:
    """The page; `opened` is the module that is shown from inside, by default the first block that changed."""
    graph, script = session.graph, session.script
    name, count = name_of(session), len(script.steps)
    done = f"{count} edit{'' if count == 1 else 's'}" if count else "not edited"
    today = datetime.now(UTC).strftime("%d %B %Y").removeprefix("0")
    told = " · ".join(part for part in (detail_of(session, graph), done, today) if part)
    body = [
        "<header>",
        '<p class="over">Model Surgery</p>',
        f"<h1>{safe(name)}</h1>",
        f'<p class="soft">{safe(told)}</p>',
        *headline(session, graph),
        "</header>",
        pictures(session, opened),
        edits(session, script),
        measured(session, graph),
        trade(session),
        swept(session),
        advised(session),
        section("Provenance", pairs(grounds(session, script))),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{safe(name)}: surgery report</title>",
            f"<style>{STYLE}</style></head><body>",
            *filter(None, body),
            "</body></html>",
            "",
        ]
    )
