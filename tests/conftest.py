"""What every test stands on: no network, and one thread for each of several processes."""

import os
import tempfile

# Before any test imports transformers, which reads it once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What the studio remembers goes where no user's own is.
os.environ["JUPYTER_DATA_DIR"] = tempfile.mkdtemp(prefix="surgery-jupyter-")
