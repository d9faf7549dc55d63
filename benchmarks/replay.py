"""What a headless replay costs beside what transformers needs to load and save the same folder.

Nothing is promised yet: a replay opens, checks both fingerprints, traces the base and each step, edits,
proves the save and writes. One trace is measured beside it, since on a small model traces are most of it.
"""

import shutil
import tempfile
from pathlib import Path

import surgery
from benchmarks.tables import Table, ms, ratio, side_by_side
from graph import extract
from surgery.demo import DECODER
from surgery.quiet import quiet


def tables() -> list[Table]:
    """Replay against plain load and save of the demonstration decoder."""
    session = surgery.open("demo")
    session.remove("model.layers[3]")
    session.sparsify("**:Linear", 0.5)
    script = session.script
    with tempfile.TemporaryDirectory() as folder, quiet():
        place = Path(folder)

        def plain() -> None:
            from transformers import AutoTokenizer, LlamaForCausalLM

            LlamaForCausalLM.from_pretrained(DECODER).save_pretrained(place / "plain")
            AutoTokenizer.from_pretrained(DECODER).save_pretrained(place / "plain")
            shutil.rmtree(place / "plain")

        def replayed() -> None:
            surgery.replay(script, out=place / "replayed")
            shutil.rmtree(place / "replayed")

        found = side_by_side(
            {
                "transformers: load and save": plain,
                "one trace": lambda: extract(session.opened.model, session.opened.inputs),
                "replay of two steps, unsaved": lambda: surgery.replay(script),
                "replay of two steps, saved": replayed,
            },
            rounds=3,
        )
    base = found["transformers: load and save"]
    rows = tuple((name, ms(seconds), ratio(seconds, base)) for name, seconds in found.items())
    promise = "Fingerprints of base and result, three traces and, when saved, the proof of the save included."
    return [Table("Replay on the demonstration", promise, ("what", "median", "of load and save"), rows)]
