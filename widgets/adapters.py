"""Where adapters sit in a graph, for the forms; how they are drawn is in `surgery.adapters.drawn`."""

from surgery.adapters.drawn import adapted, adapter_around, adapters, drawn_whole

__all__ = ["adapted", "adapter_around", "adapters", "drawn_whole"]
