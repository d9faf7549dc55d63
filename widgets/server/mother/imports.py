"""What a kernel needs to show the demonstration, imported without doing anything with it."""

from __future__ import annotations

from importlib import import_module

NEEDED = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "networkx",
    "torch._subclasses.schema_check_mode",
    "torch.fx.experimental.symbolic_shapes",
    "transformers.convert_slow_tokenizer",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
    "surgery.checkpoint.load",
    "surgery.demo.digits",
    "surgery.sources.config",
    "surgery.sources.example_inputs",
    "surgery.sources.factory",
    "surgery.sources.forward",
    "surgery.sources.module",
    "surgery.sources.transformers",
    "surgery.sources.vision_libraries",
    "surgery.sources.weights",
    "surgery.weightless",
    "widgets.voila.kernel",
)


def load() -> None:
    """Imports them, and the operations."""
    for name in NEEDED:
        import_module(name)
    from surgery.operations import all_shipped

    all_shipped()
