"""One process that has imported all that a kernel needs; each kernel is a fork of it.

Nearly all of the time that a kernel takes to start is spent on imports, which are the same for all. So the
server has them done once, in a process that does nothing else: it opens no model, starts no thread and hears
from nobody but the server. Where there can be none, kernels are started as Jupyter does it. See DECISIONS.md.

`asking` is the server's side, `kernel` what Jupyter is told, `__main__` the process itself, `imports` what it
has imported, `places` what it must forget, `birth` how a fork of it becomes a kernel.
"""
