"""A tool's process as its parent sees it: asked in turn, killed if it takes too long."""

import json
import os
import selectors
import subprocess
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
ALIKE = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
"""What every process has in its environment; transformers orders some buffers by a set."""


class Worker:
    """The process of `module` with `arguments` under the interpreter `python`; starts when first asked."""

    def __init__(self, python: str, module: str, *arguments: str) -> None:
        self.command = [python, "-W", "ignore", "-m", module, *arguments]
        self.process: subprocess.Popen[str] | None = None
        self.errors: Any = None

    def ask(self, *, limit_s: float = 120, **request: Any) -> dict[str, Any]:
        """The answer to a request, or `error`. After one that took too long a new process is started."""
        if self.process is None:
            self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed when the process is stopped)
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                text=True,
                cwd=ROOT,
                env=os.environ | ALIKE,
            )
        process = self.process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return {"error": self.ended()}
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            if not ready.select(limit_s):
                self.stop()
                return {"error": f"not done after {limit_s:.0f} s"}
        line = process.stdout.readline()
        if not line:
            return {"error": self.ended()}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ended(self) -> str:
        """Why the process is gone: the last line it wrote."""
        assert self.process is not None
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        self.stop()
        return lines[-1][:160] if lines and code > 0 else f"ended with status {code}"

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout, self.errors):
                if pipe is not None:
                    pipe.close()
            self.process = None
