"""On what the figures of a report hang: data, seeds, machine, builds and fingerprints."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING

import torch

from surgery.evaluate.wording import amount_of
from surgery.script import Script

if TYPE_CHECKING:
    from surgery.session import Session

UNKNOWN = "not known: the model was opened without weights"


def grounds(session: Session, script: Script) -> list[tuple[str, str]]:
    """Names and values, in the order in which a reader asks for them; what is not known is empty."""
    report, sweep = session.history.current.report, session.history.current.sweep
    shown = [found.data for found in (report, sweep) if found is not None]
    return [
        ("Model", script.base.class_name),
        ("Opened from", script.base.source or "memory"),
        ("Base", script.base.fingerprint or UNKNOWN),
        ("Result", script.result or (UNKNOWN if session.is_skeleton else "")),
        ("Data", "; ".join(dict.fromkeys(shown))),
        ("Measured", amount_of(report) if report else ""),
        ("Seeds", _seeds(session)),
        ("Device", report.device if report else sweep.device if sweep else ""),
        ("Machine", _machine()),
        ("Threads", f"{torch.get_num_threads()} of {os.cpu_count()}"),
        ("torch", f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"),
        ("Python", f"{platform.python_version()}{_transformers()}"),
        ("Written by", f"model-surgery {script.made_with.get('model-surgery', '')}"),
    ]


def _seeds(session: Session) -> str:
    """Of the order of examples and the bootstrap; those of operations stand in the script."""
    seeds = session.seeds
    if seeds is None or session.history.current.report is None:
        return ""
    return f"examples {seeds[0]}, bootstrap {seeds[1]}; those of steps are in the script"


def _machine() -> str:
    name = platform.processor() or platform.machine()
    cards = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join([f"{platform.system()} {platform.release()}", name, *dict.fromkeys(cards)])


def _transformers() -> str:
    """Its version where it is loaded, as it is for a model of transformers."""
    loaded = sys.modules.get("transformers")
    return f", transformers {loaded.__version__}" if loaded is not None else ""
