"""Adapters: small modules around one of the model's; `export.export` writes them in PEFT's format."""

from surgery.adapters.lora import LoraLinear

__all__ = ["LoraLinear"]
