"""Golden graphs of the atlas as text; `make golden` writes them anew and says which changed."""

from collections import defaultdict
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from graph import Flow, ModuleGraph, TensorSpec, costs, inside, overview, runs
from tests.graph.traced import traced
from tests.zoo import ATLAS

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
    "qwen3": "model.layers.0",
    "gemma3": "model.layers.2",
    "neox": "gpt_neox.layers.0",
    "deepseek": "model.layers.1",
    "mamba": "backbone.layers.0",
    "mixtral": "model.layers.0",
    "mixtral_eager": "model.layers.0",
    "qwen_moe": "model.layers.1",
    "python_routed": "",
    "bert": "bert.encoder.layer.0",
    "roberta": "roberta.embeddings",
    "t5": "decoder.block.1",
    "bart": "model.decoder.layers.0",
    "vit": "vit.layers.0",
    "swin": "swin.encoder.layers.1.blocks.1",
    "convnext": "convnext.encoder.stages.1",
    "resnet": "resnet.encoder.stages.1.layers.0",
    "detr": "model.decoder.layers.0",
    "sam": "mask_decoder",
    "clip": "",
    "whisper": "model.encoder",
    "resnet18": "layer2.0",
    "unet": "",
    "recurrent": "",
    "hypernetwork": "",
    "dictionaries": "",
    "dataclasses": "",
    "optional_inputs": "",
}


def golden(name: str) -> str:
    """The graph of a model of the atlas as text: tree, ties, runs, costs, calls, folded and opened flow."""
    graph = settled(traced(name).graph)
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


def settled(graph: ModuleGraph) -> ModuleGraph:
    """The graph with neighbouring alike calls in the order of what they read.

    Gemma 3 loops over a set of texts, whose order is another in every process.
    """
    sources: dict[int, list[int]] = defaultdict(list)
    for edge in graph.edges:
        sources[edge.target].append(edge.source)
    order = [
        call
        for _, alike in groupby(graph.calls, lambda call: (call.module, call.function, sources[call.id]))
        for call in sorted(alike, key=lambda call: call.reads)
    ]
    moved = {call.id: place for place, call in enumerate(order)}
    edges = [
        replace(edge, source=moved.get(edge.source, edge.source), target=moved.get(edge.target, edge.target))
        for edge in graph.edges
    ]
    return replace(
        graph,
        calls=tuple(replace(call, id=moved[call.id]) for call in order),
        edges=tuple(sorted(edges, key=lambda edge: edge.target)),  # stable: arguments stay in order
    )


def _tree(graph: ModuleGraph) -> list[str]:
    lines = []
    for node in graph.modules:
        tied = "" if node.tie is None else f" tie {node.tie}"
        lines.append(f"{node.path or '(root)'}: {node.class_name}{tied}{' opaque' if node.opaque else ''}")
        for tensor in node.tensors:
            tied = "" if tensor.tie is None else f" tie {tensor.tie}"
            name = tensor.path.rpartition(".")[2]
            lines.append(f"    {tensor.kind} {name} {_shape(tensor)} {tensor.size_bytes} B{tied}")
    return lines


def _costs(graph: ModuleGraph) -> list[str]:
    found = costs(graph)
    return [
        f"parameters {found.parameters}, {found.size_bytes} B",
        f"macs {found.macs}, per {graph.unit} {found.macs_per_token:.1f} of {graph.tokens}",
        f"cache per token {found.kv_bytes_per_token} B",
    ]


def _calls(graph: ModuleGraph) -> list[str]:
    lines = []
    for call in graph.calls:
        what = call.module or "(root)"
        what += f" {call.function}" if call.function else ""
        sources = _sources(graph, call.id)
        shapes = f"{' '.join(map(_shape, call.inputs))} -> {' '.join(map(_shape, call.outputs))}"
        macs = f" macs {call.macs}" if call.macs else ""
        reads = f" reads {', '.join(call.reads)}" if call.reads else ""
        lines.append(f"{call.id}: {what} [{sources}] {shapes}{macs}{reads}")
    lines.append(f"output [{_sources(graph, -2)}]")
    return lines


def _sources(graph: ModuleGraph, call: int) -> str:
    """Producers of the call's arguments: `38`, or `38.1` for the second tensor that 38 returned."""
    edges = [edge for edge in graph.edges if edge.target == call]
    return " ".join(f"{edge.source}.{edge.output}" if edge.output else str(edge.source) for edge in edges)


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
    after = {name: golden(name) for name in ATLAS}
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
