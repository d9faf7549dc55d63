"""A transformers folder loaded by transformers, with its complaints made refusals."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from surgery import fence
from surgery.checkpoint.structure import model_class
from surgery.checkpoint.tensors import Checkpoint
from surgery.errors import SurgeryError
from surgery.quiet import quiet


def pretrained(class_name: str, folder: Path) -> nn.Module:
    """The model of this class in a transformers folder, in evaluation mode.

    Transformers maps the names on disk to those in memory, which differ for some families. SurgeryError
    for a file that is truncated or foreign, and for tensors that do not fit the config.
    """
    fence.folder(folder)
    Checkpoint.at(folder)  # a truncated or foreign file is named here, before transformers sees it
    cls = model_class(class_name, str(folder))
    try:
        with quiet():
            model, report = cls.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except Exception as error:
        raise SurgeryError(f"transformers cannot load it: {error}", path=str(folder)) from None
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if odd := sorted(str(key) for key in report[kind]):
            raise SurgeryError(
                f"its tensors do not fit its config: {kind.replace('_', ' ')}",
                path=str(folder),
                got=", ".join(odd[:3]) + (f" and {len(odd) - 3} more" if len(odd) > 3 else ""),
            )
    made: nn.Module = model.eval()
    return made
