"""Adapters: small modules around a frozen one."""

from surgery.adapters.lora import LoraLinear

__all__ = ["LoraLinear"]
