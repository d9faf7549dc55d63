"""Attach adapters."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from surgery.adapters.adapter import Adapter, Spot, root_of
from surgery.adapters.figures import sizes
from surgery.adapters.fitting import Ties, free, places
from surgery.adapters.kinds import KINDS, Kind, Settings
from surgery.adapters.kinds.kind import Activation, Share, Side, Squeeze
from surgery.adapters.peft import offered
from surgery.adapters.peft.kinds import peft_kind, types_for
from surgery.adapters.stacks import root_path
from surgery.charts import Chart
from surgery.edits import Edit, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Options, Targets, option
from surgery.lazy import Lazy
from surgery.model import Patient
from surgery.operation import Operation, operation

_ALWAYS = ("targets", "adapter", "called", "ties")
_NAME = re.compile(r"[\w-]{1,64}")


@operation(title="Attach", group="attach", source="LoRA: Hu et al. 2021, arXiv:2106.09685; see `adapter`")
class Attach(Operation):
    """Each target carries an adapter that adds nothing yet: the output is bit-equal at first.

    Fields: `targets`; `adapter`: its kind, one of those in `surgery.adapters.kinds`; then, as the kind has
    them, `rank` r; `alpha`: the addition is (alpha / rank) · B A x, by default alpha = 2 r; `share`, `side`,
    `activation`, `experts`, `squeeze`; `seed` of what is drawn, uniform in ±1/√inputs (Kaiming); `called`:
    a module carries any number of adapters of different names, the later around the earlier; `ties`: what a
    module or a weight at several paths gets. `lora` goes on linear modules (torch's Linear, GPT-2's Conv1D),
    convolutions and embeddings, and adds r · (inputs + outputs) parameters per target. DoRA is equal to
    rounding at first. Refused: modules that do not suit the kind, that carry one of this name all, whose
    weight torch's fast path reads without calling them, a field that the kind does not have, and, unless
    `ties` says how, modules at several paths.
    """

    targets: Targets = option(help="the modules that get an adapter")
    adapter: str = option("lora", help="kind of adapter", choices=(*KINDS, *offered()))
    rank: int = option(8, help="rank of the addition, or width of the bottleneck", minimum=1, maximum=65536)
    alpha: float | None = option(None, help="scale × rank; twice the rank if not given", minimum=0.0)
    seed: int = option(0, help="seed of the random half", minimum=0)
    called: str = option("default", help="what this adapter is called, beside others", later=True)
    ties: Ties = option(
        "ask",
        help="a module or weight at several paths: refused if a module, one for all, or one each",
        later=True,
    )
    share: Share = option("a", help="what is one tensor for all modules of a role", later=True)
    side: Side = option(
        "output", help="what is multiplied: outputs, or inputs (as after an activation)", later=True
    )
    activation: Activation = option("relu", help="activation inside the bottleneck", later=True)
    experts: int = option(4, help="how many experts there are", later=True, minimum=2, maximum=256)
    squeeze: Squeeze = option("both", help="gates for channels, for places, or both", later=True)

    options: Options = option(
        Options(),
        help="of a type of PEFT: values of its configuration, as r=4, init_weights=false",
        later=True,
    )

    @classmethod
    def asked(cls, values: Mapping[str, Any]) -> Collection[str]:
        name = str(values.get("adapter", "lora"))
        kind = KINDS.get(name) or (peft_kind(name) if name in offered() else None)
        return (*_ALWAYS, *kind.fields) if kind else [spec.name for spec in cls.specs]

    def plan(self, patient: Patient) -> Iterator[Edit]:
        settings = Settings(
            rank=self.rank,
            alpha=self.alpha,
            share=self.share,
            side=self.side,
            activation=self.activation,
            experts=self.experts,
            squeeze=self.squeeze,
            seed=self.seed,
            options=self.options,
        )
        kind = self._kind(settings)
        paths = free(patient, self.targets.paths, self.called)
        beside = self.called != "default"
        if not paths:
            raise SurgeryError(
                "carries an adapter already" + (f" called {self.called!r}" if beside else ""),
                path=self.targets.select,
                hint="detach it, or fold it in, first; or another `called`, which goes beside it",
            )
        one_for_all: dict[Hashable, Lazy] = {}
        found = places(patient, paths, kind, self.ties)
        for place in found if kind.reads_weight else found[::-1]:  # what is in another target comes first
            path = place.slots[0]
            made = self._made(kind, patient, path, settings)
            for slot in place.slots:
                yield SetModule(slot, _around(made))
            drawn_for = path if self.called == "default" else f"{path}.{self.called}"
            root = root_path(patient, path)
            spot = Spot(drawn_for, self.seed, lambda name, root=root: patient.tensor(f"{root}.{name}"))  # type: ignore[misc]
            shared = made.shares(path.rpartition(".")[2])
            for name, tensor in made.starts(spot).items():
                key = shared.get(name) if place.group is None else place.group
                if key is not None:
                    tensor = one_for_all.setdefault((key, name, tensor.shape, tensor.dtype), tensor)
                yield SetTensor(f"{path}.{name}", tensor)

    def suiting(self, patient: Patient) -> Mapping[str, Mapping[str, str]]:
        modules = [patient.module(path) for path in self.targets.paths]
        roots = [root_of(module) for module in modules]
        ours = {
            name: ""
            for name, kind in KINDS.items()
            if all(kind.misfit(item) is None for item in (roots if kind.reads_weight else modules))
        }
        return {"adapter": ours | types_for(roots)}

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """How much each adapter that is there already changes the weight it adapts; None without any."""
        found = [(path, item) for path, item in patient.walk() if isinstance(item, Adapter)]
        return sizes(patient, found)

    def _kind(self, settings: Settings) -> Kind:
        kind = KINDS.get(self.adapter) or peft_kind(self.adapter, settings)
        assert kind is not None, "what is no kind was refused when the step was made"
        given = [
            spec.name
            for spec in self.specs
            if spec.name not in (*_ALWAYS, *kind.fields) and getattr(self, spec.name) != spec.default
        ]
        if given:
            raise SurgeryError(
                f"{kind.title} has no {given[0]}",
                got=getattr(self, given[0]),
                expected=f"one of {', '.join(kind.fields)}",
            )
        if not _NAME.fullmatch(self.called):
            raise SurgeryError(
                "is no name for an adapter", path=self.called[:80], expected="letters, digits, - and _"
            )
        return kind

    def _made(self, kind: Kind, patient: Patient, path: str, settings: Settings) -> Adapter:
        made = kind.make(patient, path, settings)
        if self.called != "default":
            made.__dict__["name"] = self.called
        return made


def _around(made: Adapter) -> Any:
    """What puts the adapter around the module that it was made for: one object, at however many slots."""

    def build(base: nn.Module) -> nn.Module:
        assert made.base is base, "an adapter goes around the module that it was planned for"
        return made

    return build
