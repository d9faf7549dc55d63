"""Make dense layers mixtures of experts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from surgery.adapters.lora import LoraLinear, is_linear
from surgery.calibration.batches import shown
from surgery.calibration.hearing import heard
from surgery.charts import Chart, Curves
from surgery.edits import Edit, SetAttribute, SetModule, SetTensor
from surgery.errors import SurgeryError
from surgery.fields import Targets, option
from surgery.lazy import Lazy, Recipe, recipe
from surgery.model import Patient, refuse_reused, sharing_shell
from surgery.modules.mixture import Mixture, Router
from surgery.modules.widths import dtype_at, width_at
from surgery.operation import Operation, operation
from surgery.places import place_of
from surgery.recipes import compute
from surgery.unseen import refuse_unseen
from surgery.widths.apart import apart

_MIXING = re.compile(r"(^|[._])(q|k|qkv|query|key|attn|attention|self_?attn|mixer)([._]|$)", re.IGNORECASE)
"""Names of modules by which a token looks at others, where no class of its own tells it."""

LINES, EXAMPLES = 4, 8
"""Of a chart: layers that have one, and examples that are run."""


@operation(
    title="Upcycle",
    group="arrange",
    source="sparse upcycling: Komatsuzaki et al. 2022, arXiv:2212.05055; split after Zhu et al. 2024 "
    "(LLaMA-MoE), arXiv:2406.16554",
)
class Upcycle(Operation):
    """Each target is a mixture of experts, of which a router sends every token to a few.

    Fields: `targets`: MLPs, or blocks that have one; `experts` n; `how`: with `copy` each expert is a copy of
    the MLP and gates are the softmax over the chosen scores, summing to one, so that the output is the dense
    one but for rounding whoever is chosen; with `split` each has its n-th part of the MLP's neurons, in
    order, gates are one, and the parts sum to the MLP where all are active; `active` k: to how many experts
    a token is sent, by default 2 of copies and all of a split. With fewer parts active what the others would
    add is missing: a start for training. `seed` of the router, (n, width), uniform in ±1/√width. A bias at
    the end of a split MLP is 1/k in each expert, so that k of them give it once. The config cannot say it: a
    folder carries the script. Refused: what mixes tokens or is no MLP, mixtures, ties that lead out of the
    target, modules used at several paths, and for a split neurons that are not known, are under adapters or
    cannot be divided by n.
    """

    targets: Targets = option(help="MLPs, or blocks that have one")
    experts: int = option(4, help="how many experts each becomes", minimum=2, maximum=1024)
    how: Literal["copy", "split"] = option("copy", help="each a copy of the MLP, or its part of the neurons")
    active: int | None = option(None, help="experts a token is sent to; 2 copies, all parts", minimum=1)
    seed: int = option(0, help="seed of the router", minimum=0)

    def plan(self, patient: Patient) -> Iterator[Edit]:
        if not 1 <= self.top_k <= self.experts:
            raise SurgeryError(
                "a token cannot be sent to so many experts", got=f"active={self.top_k}", expected=self.experts
            )
        for path in self._mlps(patient):
            refuse_unfit(patient, path)
            width = width_at(patient, path, "before")
            if width is None:
                raise SurgeryError(
                    "the width of what flows into it does not follow from what is here", path=path
                )
            parts = apart(patient, path, self.experts) if self.how == "split" else None
            dtype = dtype_at(patient, path)

            def build(base: nn.Module, width: int = width, dtype: torch.dtype = dtype) -> nn.Module:
                with torch.device("meta"):
                    gate = Router(width, self.experts, self.top_k).to(dtype)
                shells = [sharing_shell(base) for _ in range(1, self.experts)]
                mixture = Mixture(gate, [base, *shells], weighed=self.how == "copy").train(base.training)
                for expert in mixture.experts:  # whose parts need not all be in one mode
                    for inner, like in zip(expert.modules(), base.modules(), strict=True):
                        inner.training = like.training
                return mixture

            yield SetModule(path, build)
            yield SetTensor(f"{path}.gate.weight", self._router(path, width, dtype), trainable=True)
            if parts is None:
                yield from self._copies(patient, path)
                continue
            for number in range(self.experts):
                for name, value in parts.tensors(number, 1 / self.top_k):
                    yield SetTensor(f"{path}.experts.{number}.{name}", value)
                for name, attribute, count in parts.attributes():
                    yield SetAttribute(f"{path}.experts.{number}.{name}".rstrip("."), attribute, count)

    def chart(self, patient: Patient, data: Sequence[Any]) -> Chart | None:
        """Of copies how the model's parameters grow; of a split what is missing with fewer parts active."""
        paths = self._mlps(patient)
        if self.how == "copy":
            return self._sizes(patient, paths)
        return self._errors(patient, paths[:LINES], data) if len(data) else None

    @property
    def top_k(self) -> int:
        """To how many experts a token is sent."""
        if self.active is not None:
            return self.active
        return 2 if self.how == "copy" else self.experts

    def _mlps(self, patient: Patient) -> list[str]:
        """The targets, of a block its MLP."""
        found = []
        for path in self.targets.paths:
            place = place_of(patient, path)
            if place is not None and place.role == "block" and place.blocks.mlp is not None:
                path = f"{path}.{place.blocks.mlp}"
            found.append(path)
        return list(dict.fromkeys(found))

    def _router(self, path: str, width: int, dtype: torch.dtype) -> Recipe:
        bound, name = width**-0.5, f"{path}.gate.weight"
        return recipe(
            "uniform",
            shape=(self.experts, width),
            dtype=dtype,
            low=-bound,
            high=bound,
            seed=self.seed,
            path=name,
        )

    def _copies(self, patient: Patient, path: str) -> Iterator[Edit]:
        for number in range(1, self.experts):
            made: dict[int, Lazy] = {}  # a tie inside stays one
            for name, lazy in patient.tensors(path):
                copy = made.setdefault(id(lazy.parameter), recipe("copy", lazy))
                yield SetTensor(f"{path}.experts.{number}.{name}", copy)

    def _sizes(self, patient: Patient, paths: list[str]) -> Chart:
        whole = sum(parameter.numel() for parameter in patient.root.parameters())
        inside = sum(parameter.numel() for path in paths for parameter in patient.module(path).parameters())
        widths = sum(width_at(patient, path, "before") or 0 for path in paths)
        counts = range(1, max(2 * self.experts, 8) + 1)
        lines = {
            "held": tuple((float(n), whole + (n - 1) * inside + n * widths) for n in counts),
            "used for a token": tuple(
                (float(n), whole + (min(n, self.top_k) - 1) * inside + n * widths) for n in counts
            ),
        }
        return Curves(
            title="Parameters of the model", lines=lines, x="experts", y="parameters", mark=self.experts
        )

    def _errors(self, patient: Patient, paths: list[str], data: Sequence[Any]) -> Chart:
        parts = {path: apart(patient, path, self.experts) for path in paths}
        outs = {part.out: path for path, part in parts.items()}
        routers = {path: self._scores(patient, path) for path in paths}
        shares: dict[str, Tensor] = {}
        missing = {path: torch.zeros(self.experts, dtype=torch.float64) for path in paths}
        whole = dict.fromkeys(paths, 0.0)

        def hear(path: str, given: Tensor, gave: Tensor) -> None:
            if path in outs:  # which is called before the MLP around it has ended
                shares[outs[path]] = parts[outs[path]].shares(given).cpu()
                return
            best = (given.cpu().float() @ routers[path].T).argsort(dim=1, descending=True)
            sorted_shares = shares[path].gather(1, best.unsqueeze(-1).expand_as(shares[path]))
            left = shares[path].sum(1, keepdim=True) - sorted_shares.cumsum(1)
            missing[path] += left.square().sum((0, 2))
            whole[path] += float(gave.double().square().sum())

        batches = shown(data, EXAMPLES, 0, self.name)
        heard(patient.root, batches, [*paths, *outs], hear, self.name)
        lines = {
            path: tuple(
                (k + 1.0, (float(missing[path][k]) / whole[path]) ** 0.5) for k in range(self.experts)
            )
            for path in paths
            if whole[path]
        }
        title = "What is missing of the MLP's output with fewer parts active"
        return Curves(title=title, lines=lines, x="active experts", y="error / output", mark=self.top_k)

    def _scores(self, patient: Patient, path: str) -> Tensor:
        """The router that would be drawn, in float32."""
        width = width_at(patient, path, "before")
        assert width is not None
        return compute(self._router(path, width, torch.float32), {})


def refuse_unfit(patient: Patient, path: str) -> None:
    """SurgeryError for what is no MLP of linear layers, or cannot get copies beside it."""
    module, place = patient.module(path), place_of(patient, path)
    if isinstance(module, Mixture) or {"gate", "experts"} <= module._modules.keys():
        raise SurgeryError("is a mixture of experts already", path=path)
    strange = next((item for item in module.modules() if _is_strange(item)), None)
    if strange is None and any(_MIXING.search(name) for name, _ in module.named_modules()):
        strange = module
    if strange is not None or not any(map(is_linear, module.modules())) or not path:
        raise SurgeryError(
            "is no MLP: a token's result must follow from that token alone, by linear layers",
            path=path or "(root)",
            got=type(module if strange is None else strange).__name__,
            hint=f"`{place.parent}[{place.number}].{place.blocks.mlp}`"
            if place is not None and place.blocks.mlp
            else "the path of an MLP",
        )
    refuse_unseen(patient, path, "upcycle")
    refuse_reused(patient, path)
    sites = patient.sites()
    for name, lazy in patient.tensors(path):
        outside = [place for place in sites[id(lazy.parameter)] if not place.startswith(f"{path}.")]
        if outside:
            raise SurgeryError(
                "is tied to a path outside the target, which would not be an expert",
                path=f"{path}.{name}",
                got=outside[0],
                hint=f'`untie("{path}")` first',
            )


def _is_strange(module: nn.Module) -> bool:
    """Whether a module with tensors of its own is not one that takes each token for itself."""
    if not module._parameters and not module._buffers:
        return isinstance(module.__dict__.get("layer_idx"), int)
    norm = isinstance(module, nn.LayerNorm | nn.RMSNorm) or type(module).__name__.endswith("RMSNorm")
    return not (is_linear(module) or isinstance(module, LoraLinear) or norm)
