"""Adapters: small modules around one of the model's."""

from surgery.adapters.lora import LoraLinear

__all__ = ["LoraLinear"]
