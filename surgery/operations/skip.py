"""Skip modules: data goes past them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from torch import nn

from graph.nodes import CallNode, ModuleGraph
from graph.paths import is_below
from surgery.adapters.lora import is_transposed
from surgery.depth import followed
from surgery.edits import Edit, SetModule
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.model import Patient
from surgery.modules.passing import Nothing, PassThrough
from surgery.operation import Operation, operation
from surgery.places import Indexed, note_attention, outermost, place_of, refuse_stranger
from surgery.unseen import refuse_unseen


@operation(
    title="Skip", group="prune", source="original; skipped sub-layers after He et al. 2024, arXiv:2406.15786"
)
class Skip(Operation):
    """The targets compute nothing any more: data goes past them, and names and numbers of the others stay.

    Fields: `targets`; `gives`: what is there in place of a module's result. `input` is its first argument,
    `zeros` is zeros of that shape: in a residual x + f(x) zeros skip f, while the input would give 2 x.
    `auto` is zeros for the attention and the MLP of a transformers block, which are added to the residual
    stream, and the input for everything else, a whole block among them. In a transformers model blocks that
    still have attention are numbered anew, so that the KV cache counts by those; a skipped block has no
    `hidden_states` of its own, and `remove` is what makes the config shorter. Its parameters are gone.
    Refused: modules after which what is around them would compute on other shapes or dtypes, a part that
    holds the attention of a transformers block together with more, parts of which it is not known whether
    they are added, the last attention, modules whose weights torch reads without calling them, the whole
    model, families of transformers that are not proved yet.
    """

    targets: Targets = option(help="the modules that are passed by")
    gives: Literal["auto", "input", "zeros"] = option("auto", help="what stands in place of their result")

    def plan(self, patient: Patient) -> Iterator[Edit]:
        indexed: Indexed = {}
        for path in outermost(self.targets.paths):
            _check(patient, path)
            note_attention(patient, path, "skip", indexed)
            yield SetModule(path, self._instead(patient, path))
        for parent, names in indexed.items():
            yield from followed(patient, parent, range(patient.items(parent)), "skip", names)

    def check(self, before: ModuleGraph, after: ModuleGraph) -> None:
        """What is called outside the targets was called before, in that order, on the same shapes and dtypes.

        Masks and positions of a type of attention that is left nowhere are no longer made.
        """
        places = set(self.targets.paths)
        for tie in before.ties:
            if tie.kind == "module" and places & set(tie.paths):
                places |= set(tie.paths)
        was, now = (
            [_seen(call) for call in graph.calls if not any(is_below(call.module, path) for path in places)]
            for graph in (before, after)
        )
        left = iter(was)
        odd = next((call for call in now if call not in left), None)  # each behind the one before it
        if odd is not None:
            raise SurgeryError(
                "what it returns is not of the shape, number and dtype of what it is given",
                path=self.targets.select,
                got=f"another input of {odd[0] or 'the model'}",
                hint="a module that keeps the shape, or `remove`",
            )

    def _instead(self, patient: Patient, path: str) -> Callable[[nn.Module], nn.Module]:
        """Makes what stands in the place of the module at `path`."""
        module, place = patient.module(path), place_of(patient, path)
        role = place.role if place else None
        pair = place.pair if place else isinstance(module, nn.MultiheadAttention)
        if self.gives == "auto" and role is None and patient.model_type and module._modules:
            raise SurgeryError(
                "whether its result is added to what it is given, or stands alone, is not known",
                path=path,
                got=type(module).__name__,
                hint='`gives="zeros"` where it is added, else `gives="input"`',
            )
        zeros = self.gives == "zeros" or (self.gives == "auto" and role in ("attention", "mlp"))
        cls = Nothing if zeros else PassThrough
        return lambda there: cls(pair).train(there.training)


def _check(patient: Patient, path: str) -> None:
    module = patient.module(path)
    kind = type(module).__name__
    if not path:
        raise SurgeryError("the whole model cannot be skipped", path="(root)", hint="a part of it")
    if isinstance(module, PassThrough | Nothing):
        raise SurgeryError("is skipped already", path=path)
    if isinstance(module, nn.ModuleList | nn.ModuleDict | nn.RNNBase | nn.Embedding):
        raise SurgeryError(
            "gives nothing of the kind it is given", path=path, got=kind, hint="a module that keeps the shape"
        )
    refuse_unseen(patient, path, "skip")
    refuse_stranger(patient, path, "skip")
    weight = module._parameters.get("weight")
    linear = isinstance(module, nn.Linear) or is_transposed(module)
    if linear and weight is not None and weight.shape[0] != weight.shape[1]:
        raise SurgeryError(
            "does not keep the width, so nothing can pass it by", path=path, got=list(weight.shape)
        )


def _seen(call: CallNode) -> tuple[object, ...]:
    return call.module, call.function, call.inputs, call.outputs
