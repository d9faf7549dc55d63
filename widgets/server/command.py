"""The command line of the app, one for `surgery app` and `python app.py`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from widgets.server.options import HOST, MEGABYTE, PORT, Options, base_url_of

PASSWORD, TOKEN = "SURGERY_PASSWORD", "SURGERY_TOKEN"
_BASE_URL = re.compile(r"/?[\w.~-]*(?:/[\w.~-]+)*/?")


def run(argv: Sequence[str] | None = None) -> int:
    """Serves until Ctrl-C or a signal."""
    options = options_of(argv)
    if problem := options.refusal():
        raise SystemExit(problem)
    from widgets.server.app import serve  # after the refusals, which should not wait for it

    return serve(options)


def parser() -> argparse.ArgumentParser:
    """What may be said on the command line."""
    made = argparse.ArgumentParser(
        prog="surgery app",
        description="The studio in the browser.",
        epilog=f"A password is given in the environment variable {PASSWORD} or in a file, never here; a "
        f"token of your own in {TOKEN}. See docs/deploy.md.",
    )
    made.add_argument(
        "model",
        nargs="?",
        help="what `surgery.open` takes by name: a folder, a hub id …; default: the demonstration",
    )
    made.add_argument("--script", help="edits to begin with; without MODEL on the model they were made on")
    made.add_argument("--device", help="where is evaluated: cpu, cuda, cuda:1, mps; default: what is there")
    made.add_argument("--window", action="store_true", help="a window of its own (Chromium, Chrome or Edge)")
    made.add_argument("--no-browser", action="store_true", help="only print the address")
    where = made.add_argument_group("who can reach it")
    where.add_argument("--port", type=int, help=f"0 for any free one; default: {PORT} if free")
    where.add_argument(
        "--host", default=HOST, help=f"the address to listen on; default: {HOST}, this machine"
    )
    where.add_argument(
        "--name", action="append", default=[], help="a host name it is reached by, as of a proxy"
    )
    where.add_argument("--base-url", default="/", help="the path below which a proxy has it, as /studio/")
    where.add_argument("--password-file", help="a file with the password, or with its hash by jupyter_server")
    what = made.add_argument_group("what visitors may do")
    what.add_argument(
        "--models", action="append", default=[], metavar="DIR", help="may be read; several times"
    )
    what.add_argument("--out", metavar="DIR", help="may be written; the working folder of visitors")
    what.add_argument(
        "--hub", action="store_true", help="models may be fetched from the hub, within a fence too"
    )
    what.add_argument("--visitors", type=int, default=8, help="at most so many at a time; default: 8")
    what.add_argument(
        "--upload-limit", type=float, default=8, metavar="MB", help="of one message; default: 8"
    )
    long = made.add_argument_group("how long sessions live")
    long.add_argument(
        "--keep", type=float, default=15, metavar="SECONDS", help="after its page closed; default: 15"
    )
    long.add_argument(
        "--idle", type=float, default=5, metavar="MINUTES", help="after its page vanished; default: 5"
    )
    long.add_argument("--no-spare", action="store_true", help="no process waits ready for the next visitor")
    return made


def options_of(argv: Sequence[str] | None = None) -> Options:
    """The options that a command line and the environment say; SystemExit for what is none.

    What is secret is taken out of the environment, which visitors' processes inherit.
    """
    command = parser()
    args = command.parse_args(argv)
    password, token = os.environ.pop(PASSWORD, None), os.environ.pop(TOKEN, None)
    if args.password_file is not None:
        password = _first_line(args.password_file)
    if password == "":
        raise SystemExit("--password-file: the password is empty. Try: leaving it out, and a token is made.")
    if not _BASE_URL.fullmatch(args.base_url):
        raise SystemExit(f"--base-url: is no path; got {args.base_url}. Try: /studio/.")
    if args.device is not None and not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", args.device):
        raise SystemExit(f"--device: is none; got {args.device}, expected cpu, cuda, cuda:1 or mps.")
    given = {} if token is None or password else {"token": token}
    return Options(
        model=_place(args.model),
        script=_place(args.script),
        device=args.device,
        host=args.host,
        port=args.port,
        base_url=base_url_of(args.base_url),
        names=tuple(args.name),
        password=password or "",
        models=tuple(str(_resolved(folder)) for folder in args.models),
        out=None if args.out is None else str(_resolved(args.out)),
        hub=args.hub,
        visitors=args.visitors,
        idle_s=60 * args.idle,
        keep_s=args.keep,
        upload_bytes=int(args.upload_limit * MEGABYTE),
        spare=not args.no_spare,
        window=args.window,
        browser=not args.no_browser,
        **given,
    )


def _first_line(file: str) -> str:
    try:
        return Path(file).expanduser().read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SystemExit(f"--password-file: cannot be read: {reason}; got {file}.") from None


def _place(name: str | None) -> str | None:
    """A name as it is; one of a place that is there as that, wherever the process works later."""
    if name is None:
        return None
    local = _resolved(name)
    return str(local) if local.exists() else name


def _resolved(name: str) -> Path:
    try:
        return Path(name).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return Path(name)
