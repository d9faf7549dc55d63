"""Names that a model may have and that must stay text, and graphs made of records alone."""

from graph import CallNode, Edge, ModuleGraph, ModuleNode, ParameterNode, Problem, TensorSpec, Tie

ODD_NAMES = {
    "markup": "<script>alert(1)</script>",
    "rich markup": "[bold red]x[/bold red]",
    "quotes": "\"'`\\",
    "a backslash at the end": "end\\",
    "an entity": "&lt;&amp;&#60;",
    "a new line": "one\ntwo",
    "a return": "one\rtwo\r\n",
    "a tab": "one\ttwo",
    "nul": "nul\x00",
    "an escape sequence": "\x1b[31mred\x1b]0;title\x07",
    "a control of the second set": "\x9b31m",
    "right to left": "שלום עולם",
    "an override": "\u202egnp_exe",
    "an isolate": "\u2067x\u2069",
    "a line separator": "one\u2028two",
    "a lone surrogate": "\ud800x\udfff",
    "no character": "\ufffe\uffff",
    "beyond the first plane": "\U0001f9e0\U000e0001",
    "spaces": "  two  ",
    "a DOT escape": "\\N\\G\\l",
    "long": "x" * 10_000,
}


def odd_graph(name: str) -> ModuleGraph:
    """A traced model in which everything that can be named has this name."""
    spec = TensorSpec((2, 3), name)
    tensor = ParameterNode(f"{name}.{name}", (3, 3), "float32", 36, "parameter", 0)
    root = ModuleNode("", name, "", (name, "other"), (), (), "r")
    child = ModuleNode(name, name, name, (), (tensor,), ((name, name),), "c", opaque=name, tie=None)
    other = ModuleNode("other", "Linear", "other", (), (), (), "o")
    calls = (
        CallNode(0, name, None, (spec,), (spec,), 18, (f"{name}.{name}",)),
        CallNode(1, "other", name, (spec,), (spec,), 0, ("other.weight",)),
    )
    edges = (Edge(-1, 0, 0, spec), Edge(0, 1, 0, spec), Edge(1, -2, 0, spec))
    ties = (Tie(0, "parameter", (f"{name}.{name}", "other.weight")),)
    return ModuleGraph(name, (root, child, other), calls, edges, ties, Problem(name, name), 2)


def chain(depth: int) -> ModuleGraph:
    """`depth` modules, each in the one before, with a parameter in the innermost."""
    paths = [".".join(["m"] * level) for level in range(depth + 1)]
    weight = ParameterNode(f"{paths[-1]}.weight", (4,), "float32", 16, "parameter")
    modules = [
        ModuleNode(path, "Nest", path, ("m",) if path != paths[-1] else (), (), (), f"s{level}")
        for level, path in enumerate(paths)
    ]
    last = modules[-1]
    modules[-1] = ModuleNode(last.path, "Leaf", last.path, (), (weight,), (), "leaf")
    return ModuleGraph("Nest", tuple(modules))


def layers(count: int, different: int = 0) -> ModuleGraph:
    """A list of `count` blocks with one linear layer each; every `different`-th is of another kind."""
    modules = [
        ModuleNode("", "Net", "", ("layers",), (), (), "root"),
        ModuleNode("layers", "ModuleList", "layers", tuple(map(str, range(count))), (), (), "list", True),
    ]
    for index in range(count):
        path = f"layers.{index}"
        kind = "Other" if different and index % different == different - 1 else "Block"
        weight = ParameterNode(f"{path}.proj.weight", (4, 4), "float32", 64, "parameter")
        modules.append(ModuleNode(path, kind, path, ("proj",), (), (), kind))
        modules.append(ModuleNode(f"{path}.proj", "Linear", f"{path}.proj", (), (weight,), (), "proj"))
    return ModuleGraph("Net", tuple(modules))
