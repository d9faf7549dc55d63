"""One forward of a shell on fake tensors, watched: `trace` runs it, `recorder` writes it down.

`forwards` wraps the modules, `watch` sees functions and operators, `macs` counts them, `memo` copies what
alike blocks did, `guesses` stands in for what can't run on shapes alone.
"""

from graph.tracing.trace import Inputs, Trace, trace

__all__ = ["Inputs", "Trace", "trace"]
