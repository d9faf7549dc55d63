"""One forward of a shell on fake tensors, watched: `trace` runs it, `recorder` writes it down.

`fakes` and `reals` make the shell and its inputs, `forwards` wraps the modules, `watch` sees functions and
operators, `macs` counts them, `guesses` stands in for what can't run on shapes alone, `written` keeps writes
out of tensors that are no fakes.

Nothing is done twice that comes out the same: `outcomes` remembers operators, `functions` functions,
`layers` torch's own layers; `norms` tells of batch norms without running any; `memo` copies what alike
blocks did, which `keys` and `places` tell apart.
"""

from graph.tracing.trace import Inputs, Trace, trace

__all__ = ["Inputs", "Trace", "trace"]
