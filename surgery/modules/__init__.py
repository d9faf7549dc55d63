"""Modules that edits put into a model, by name, and the register of them."""

from surgery.modules.register import Fresh, Start, module, modules, named_module

__all__ = ["Fresh", "Start", "module", "modules", "named_module"]
