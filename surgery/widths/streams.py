"""The width of residual streams: what embeddings and layers write, norms look at, and all that follows reads.

Where RMSNorms alone look at a stream, fewer entries are the same as entries of zeros: with m of n left the
mean square is n/m times as large, so gains grow by √(n/m), and ε by n/m. A LayerNorm takes a mean away too,
which no gain makes up for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isclose
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from graph.coupling import Group, NotCoupled, Place, streams
from surgery.adapters.lora import is_linear, is_transposed
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.rewriting.norms import Norm, norm_of
from surgery.tracing import values_unchecked
from surgery.widths.channels import attributes, writes
from surgery.widths.part import Cut, Follow, Gain, Part

_EPSILON = ("eps", "variance_epsilon")
_CALLED = ("rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps", "norm_eps")
"""What configs call the ε of norms."""
_WIDE = ("hidden_dim", "hidden_size", "dim")
"""What modules with weights of their own call how wide they are: norms, routers, stacked experts."""
_TORCH = "is torch's own attention, which takes what it reads to be as wide as its heads together"


def width(patient: Patient) -> list[Part]:
    """The residual streams of the model, each at the first module that writes it.

    A unit is an entry of what is added up from block to block: a column of the embeddings, a row of all that
    writes, a gain of the norms, a column of all that reads, the head and the norms' shifts with them. Streams
    that one tensor belongs to are one. What comes out of the model stays, unless a head makes that.
    """
    if patient.inputs is None:
        raise SurgeryError(
            "who writes and reads a residual stream shows only when the model runs, "
            "and there are no example inputs",
            hint="`surgery.open(model, inputs)`",
        )
    known = patient.known.get("streams")
    if known is None:
        known = patient.known["streams"] = tuple(_streams(patient))
    assert isinstance(known, tuple)
    return parts_of(patient, known)


def _streams(patient: Patient) -> Iterator[Group]:
    try:
        with values_unchecked():
            found = streams(patient.root, patient.inputs, list(_norms(patient)))
    except NotCoupled as error:
        raise SurgeryError(f"what belongs to a residual stream cannot be followed: {error}") from None
    group_at = {
        (key_of(patient, place.path), place.dim): number
        for number, group in enumerate(found)
        for place in group.places
    }
    for group in found:
        writers = [place for place in group.places if written_at(patient, place)]
        if group.count > 1 and is_stream(patient, writers, group_at) and _adds(patient, group, group_at):
            yield group


def _adds(patient: Patient, group: Group, group_at: dict[tuple[int, int], int]) -> bool:
    """Whether units are added up, not multiplied: gates with what they gate are written by two."""
    for place in group.places:
        where = place.path.rpartition(".")[0]
        if where in _norms(patient) or isinstance(patient.module(where), nn.Embedding):
            return True
        if written_at(patient, place) and (key_of(patient, place.path), 1 - place.dim) in group_at:
            return True
    return False


def key_of(patient: Patient, path: str) -> int:
    """The identity of the tensor at `path`."""
    return id((patient.buffer(path) or patient.tensor(path)).parameter)


def written_at(patient: Patient, place: Place) -> bool:
    """Whether the units are what a module puts out, by its weight."""
    where, _, name = place.path.rpartition(".")
    module = patient.module(where)
    if name != "weight":
        return False
    if isinstance(module, nn.Embedding):
        return place.dim == 1
    return (place.dim == 1) if is_linear(module) and is_transposed(module) else writes(module, place.dim)


def is_stream(patient: Patient, writers: list[Place], group_at: dict[tuple[int, int], int]) -> bool:
    """Whether what is written comes from several places, and most of it not by convolutions.

    `group_at` are the groups by tensor and dimension: two writers of one source are one place.
    """
    convolutions, sources = 0, set[object]()
    for place in writers:
        convolutions += isinstance(patient.module(place.path.rpartition(".")[0]), _ConvNd)
        key = key_of(patient, place.path)
        sources.add(group_at.get((key, 1 - place.dim), key) if place.dim < 2 else key)
    return len(sources) > 1 and len(writers) >= 2 * convolutions


def parts_of(patient: Patient, groups: tuple[Group, ...]) -> list[Part]:
    """The streams with what follows their widths."""
    tied = [*patient.sites().values(), *patient.buffer_sites().values()]
    sites = {path: paths for paths in tied for path in paths}
    norms = _norms(patient)
    return [_Stream(patient, group, sites, norms).part() for group in groups]


def _norms(patient: Patient) -> dict[str, Norm]:
    """The norms over all that they are given, by path."""
    if (known := patient.known.get("norms")) is None:
        asked: dict[int, Norm | None] = {}
        made = {}
        for path, module in patient.walk():
            if id(module) not in asked:
                asked[id(module)] = norm_of(module)
            if (norm := asked[id(module)]) is not None:
                made[path] = norm
        known = patient.known["norms"] = made
    assert isinstance(known, dict)
    return known


def said_of(patient: Patient, epsilon: float, count: int) -> str | None:
    """What the config calls the ε of norms over `count` entries; None if nothing.

    It is that of as many entries as the config says, which may not have followed the last cut.
    """
    width = getattr(patient.config, "hidden_size", None) or count
    for name in _CALLED:
        said = getattr(patient.config, name, None)
        if isinstance(said, float) and isclose(said * width / count, epsilon, rel_tol=1e-9):
            return name
    return None


@dataclass
class _Stream:
    """One stream in the making."""

    patient: Patient
    group: Group
    sites: dict[str, list[str]]
    norms: dict[str, Norm]

    def part(self) -> Part:
        tied = [(path, place) for place in self.group.places for path in self.sites[place.path]]
        places = list({(path, place.dim): (path, place) for path, place in tied}.values())
        cuts, follows, members, root_scaled = [], [], [], []
        for path, place in places:
            where, _, name = path.rpartition(".")
            module = self.patient.module(where)
            cuts.append(Cut(path, place.dim, place.sections, scored=name not in module._buffers))
            size = sum(size for _, size in place.sections)
            follows += [Follow(where, *entry) for entry in self._attributes(where, name, place.dim, size)]
            if written_at(self.patient, Place(path, place.dim, place.sections)):
                members.append(where)
            if place.dim == 1 and self._is_scaled(module):
                root_scaled.append(where)
        around = dict.fromkeys(path.rpartition(".")[0] for path, _ in places)
        looking = [path for path in around if path in self.norms]
        refused, hint = self._refused(places, looking)
        return Part(
            path=members[0],
            count=self.group.count,
            cuts=tuple(dict.fromkeys(cuts)),
            members=tuple(dict.fromkeys(members)),
            follows=tuple(dict.fromkeys(follows)),
            gains=tuple(self._gains(looking, root_scaled)),
            rates=tuple(self._rates(looking)),
            roots=tuple(root_scaled),
            made_anew=("hidden_size",) if all(place.sections == ((0, 1),) for _, place in places) else (),
            refused=refused,
            hint=hint,
        )

    def _attributes(self, where: str, name: str, dim: int, size: int) -> Iterator[tuple[str, int]]:
        """(name, how much it falls with a unit) of the module's own figures."""
        module: Any = self.patient.module(where)
        if isinstance(module, nn.Embedding):
            yield "embedding_dim", size
        elif is_linear(module) and is_transposed(module):
            if name == "weight":
                yield ("nx" if dim == 0 else "nf"), size
        elif isinstance(module, nn.Linear | _ConvNd):
            if name == "weight":
                yield from attributes(module, dim, size)
        else:
            whole = size * self.group.count
            yield from ((each, size) for each in _WIDE if module.__dict__.get(each) == whole)
            if module.__dict__.get("normalized_shape") == (whole,):
                yield "normalized_shape", size

    def _is_scaled(self, module: nn.Module) -> bool:
        """Whether an embedding multiplies by the root of its width, as Gemma's do, and a reload would too."""
        said = module.__dict__.get("scalar_embed_scale")
        return said is not None and said == self.group.count**0.5

    def _gains(self, looking: list[str], scaled: list[str]) -> Iterator[Gain]:
        """Those of RMSNorms, and of embeddings that are multiplied by a smaller root.

        Where the model divides by a root of the width in front of its head too, or has a tied embedding that
        grew for a head, the last norm makes up for both at once: its gain stays.
        """
        last = self._last_norm(scaled)
        for path in looking:
            if not self.norms[path].centred and path != last:
                yield Gain(f"{path}.weight", self.norms[path].offset)
        for where in scaled:
            yield from (Gain(path, 0.0) for path in self.sites[f"{where}.weight"])

    def _last_norm(self, scaled: list[str]) -> str | None:
        root: Any = self.patient.root
        if "model_dim" in root.__dict__ and getattr(root.config, "scale_decoder_outputs", False):
            return "decoder.final_layer_norm"
        heads = [path for where in scaled for path in self.sites[f"{where}.weight"]]
        if any(isinstance(self.patient.module(path.rpartition(".")[0]), nn.Linear) for path in heads):
            return f"{scaled[0].rpartition('.')[0]}.norm"
        return None

    def _rates(self, looking: list[str]) -> Iterator[Follow]:
        """The ε of RMSNorms, unless the config says one ε for these and for norms of something else."""
        mine = [
            (path, name)
            for path in looking
            if not self.norms[path].centred
            for name in _EPSILON
            if isinstance(self.patient.module(path).__dict__.get(name), float)
        ]
        values = {self.patient.module(path).__dict__[name] for path, name in mine}
        if self.patient.model_type is not None:
            said = {value: said_of(self.patient, value, self.group.count) for value in values}
            meant = values | {getattr(self.patient.config, name) for name in said.values() if name}
            inside = set(mine)
            if not all(said.values()) or any(
                (path, name) not in inside and module.__dict__.get(name) in meant
                for path, module in self.patient.walk()
                for name in _EPSILON
            ):
                return
        yield from (Follow(path, name) for path, name in mine)

    def _refused(self, places: list[tuple[str, Place]], looking: list[str]) -> tuple[str, str | None]:
        for path, place in places:
            where, _, name = path.rpartition(".")
            around = where.rpartition(".")[0]
            module = self.patient.module(where)
            if any(isinstance(self.patient.module(each), nn.MultiheadAttention) for each in (where, around)):
                return _TORCH, "an attention module with a width of its own for the heads in its place"
            if name in module._non_persistent_buffers_set:
                return f"meets {path}, which no checkpoint stores", None
            whole = (self.patient.buffer(path) or self.patient.tensor(path)).shape[place.dim]
            if where in looking and whole != self.group.count * sum(size for _, size in place.sections):
                return f"is looked at by {where} together with something else", None
        return "", None
