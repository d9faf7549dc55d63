"""Adapters of the installed PEFT as kinds called `peft:<type>`: what fits is asked of PEFT, type by type."""

from surgery.adapters.peft.names import PREFIX, offered, type_of

__all__ = ["PREFIX", "offered", "type_of"]
