"""Which linear layers read a norm, and whether they alone do: then its weight and bias can go into theirs."""

from __future__ import annotations

from torch import nn

from graph.nodes import CallNode
from surgery.adapters.lora import LoraLinear, is_linear
from surgery.errors import SurgeryError
from surgery.model import Patient
from surgery.modules.passing import PassThrough
from surgery.rewriting.folding import refuse_shared, refuse_twice
from surgery.rewriting.reading import Reading, said

PASSING = frozenset(
    {"getitem", "view", "reshape", "contiguous", "flatten", "unsqueeze", "squeeze", "expand", "clone"}
    | {"detach", "to", "type_as", "float", "double", "half", "bfloat16"}
)
"""Functions that, where they leave the last dimension as long as it is, leave its entries where they are."""


def readers_of(patient: Patient, path: str, verb: str) -> list[str]:
    """The paths of the linear layers that read the norm at `path`; SurgeryError where others do too."""
    reading, norm = Reading.of(patient, verb), patient.module(path)
    refuse_twice(patient, path)
    calls = reading.calls_of(norm)
    if not calls:
        raise SurgeryError("is never called", path=path)
    refuse_shared(reading, path, calls)
    shifts = norm._parameters.get("bias") is not None
    found: dict[int, CallNode] = {}
    waiting = list(calls)
    for call in waiting:  # grows while it is read
        for reader in reading.readers(call):
            if reader is not None and passes(reading, reader, shifts):
                waiting.append(reader)
            elif reader is None or not _is_linear(reading, reader):
                raise _not_linear(reading, path, reader)
            else:
                found[reader.id] = reader
    layers = list(dict.fromkeys(call.module for call in found.values()))
    for layer in layers:
        refuse_twice(patient, layer)
        mine = reading.calls_of(patient.module(layer))
        other = next((call for call in mine if call.id not in found), None)
        if other is not None:
            source = reading.source(other)
            raise SurgeryError(
                f"reads {path}, and in another call something else",
                path=layer,
                got="the model's input" if source is None else said(source),
            )
        refuse_shared(reading, layer, mine)
    return layers


def passes(reading: Reading, call: CallNode, shifts: bool = True) -> bool:
    """Whether a call hands on the vectors it is given, some of them or all, as they are.

    Dropout does in evaluation mode; where the vectors have a bias to lose, only one that drops nothing does.
    """
    module = reading.module(call)
    if isinstance(module, nn.Identity | PassThrough):
        return True
    if isinstance(module, nn.Dropout):
        return not shifts or module.p == 0 or not module.training
    if call.function not in PASSING or not call.inputs or call.reads:
        return False
    given, made = call.inputs[0].shape, call.outputs[0].shape
    return bool(given and made) and given[-1] == made[-1]


def _is_linear(reading: Reading, call: CallNode) -> bool:
    module = reading.module(call)
    return module is not None and is_linear(module)


def _not_linear(reading: Reading, path: str, reader: CallNode | None) -> SurgeryError:
    hint, patient = None, reading.patient
    if reader is not None:
        around = reader.module
        while around:
            if isinstance(patient.module(around), LoraLinear):
                hint = f'`fold("{around}")` or `detach("{around}")` first'
            around = around.rpartition(".")[0]
    if reader is not None and reader.reads and hint is None and reader.function:
        tied = [reader.reads[0]]
        return SurgeryError(
            "is read by a function with a weight that others have too",
            path=path,
            got=f"{said(reader)} with {tied[0]}",
            hint="a head that is a module of its own",
        )
    return SurgeryError("is also read by what is no linear layer", path=path, got=said(reader), hint=hint)
