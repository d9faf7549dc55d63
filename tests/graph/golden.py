"""Golden graphs of the zoo as text; `make golden` writes them anew and says which changed."""

from pathlib import Path

from graph import Flow, ModuleGraph, TensorSpec, costs, extract, inside, overview, runs
from tests.models import ZOO

FOLDER = Path(__file__).parent / "golden"

# The block shown opened in each golden file.
OPENED = {
    "llama": "model.layers.1",
    "qwen2": "model.layers.0",
    "gpt2": "transformer.h.2",
    "tied_head": "blocks.0",
    "siamese": "",
    "cnn": "stage1.0",
    "reused": "",
    "encoder": "layers.0",
    "nested_lists": "",
}


def golden(name: str) -> str:
    """The graph of a zoo model as text: tree, ties, runs, costs, calls, folded and opened flow."""
    model, inputs = ZOO[name]()
    graph = extract(model, inputs)
    opened = OPENED[name]
    sections = [
        ("tree", _tree(graph)),
        ("ties", [f"{tie.index} {tie.kind}: {', '.join(tie.paths)}" for tie in graph.ties]),
        ("runs", [f"{run.parent or '(root)'}: {', '.join(run.paths)}" for run in runs(graph)]),
        ("costs", _costs(graph)),
        ("calls", _calls(graph)),
        ("overview", _flow(overview(graph))),
        (f"inside {opened or '(root)'}", _flow(inside(graph, opened))),
    ]
    return "\n".join(f"# {title}\n" + "".join(f"{line}\n" for line in lines) for title, lines in sections)


def _tree(graph: ModuleGraph) -> list[str]:
    lines = []
    for node in graph.modules:
        tied = "" if node.tie is None else f" tie {node.tie}"
        lines.append(f"{node.path or '(root)'}: {node.class_name}{tied}")
        for tensor in node.tensors:
            tied = "" if tensor.tie is None else f" tie {tensor.tie}"
            name = tensor.path.rpartition(".")[2]
            lines.append(f"    {tensor.kind} {name} {_shape(tensor)} {tensor.size_bytes} B{tied}")
    return lines


def _costs(graph: ModuleGraph) -> list[str]:
    found = costs(graph)
    return [
        f"parameters {found.parameters}, {found.size_bytes} B",
        f"macs {found.macs}, per token {found.macs_per_token:.1f} of {graph.tokens}",
        f"cache per token {found.kv_bytes_per_token} B",
    ]


def _calls(graph: ModuleGraph) -> list[str]:
    lines = []
    for call in graph.calls:
        what = call.module or "(root)"
        what += f" {call.function}" if call.function else ""
        sources = " ".join(str(edge.source) for edge in graph.edges if edge.target == call.id)
        shapes = f"{' '.join(map(_shape, call.inputs))} -> {' '.join(map(_shape, call.outputs))}"
        macs = f" macs {call.macs}" if call.macs else ""
        reads = f" reads {', '.join(call.reads)}" if call.reads else ""
        lines.append(f"{call.id}: {what} [{sources}] {shapes}{macs}{reads}")
    lines.append("output [" + " ".join(str(edge.source) for edge in graph.edges if edge.target == -2) + "]")
    return lines


def _flow(flow: Flow) -> list[str]:
    lines = []
    for node in flow.nodes:
        paths = f" {', '.join(node.paths)}" if node.paths else ""
        lines.append(f"{node.id}: {node.kind} {node.title!r} {node.subtitle!r}{paths}")
    for edge in flow.edges:
        lines.append(f"  {edge.source} -> {edge.target}{' (residual)' if edge.residual else ''}")
    return lines


def _shape(spec: TensorSpec) -> str:
    short = {"float32": "", "int64": "i"}.get(spec.dtype, f"{spec.dtype} ")
    return short + "x".join(map(str, spec.shape)) if spec.shape else f"{short}scalar"


def renew() -> list[str]:
    """Writes every golden file and takes away those of models that are gone; the names of what changed."""
    FOLDER.mkdir(exist_ok=True)
    before = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.txt")}
    after = {name: golden(name) for name in ZOO}
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    for name in changed:
        file = FOLDER / f"{name}.txt"
        if name in after:
            file.write_text(after[name], encoding="utf-8")
        else:
            file.unlink()
    return changed


if __name__ == "__main__":
    print("\n".join(f"{FOLDER / name}.txt" for name in renew()) or "The golden texts are as they were.")
