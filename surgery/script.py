"""Edit scripts: the steps in order with the base model's identity, as data. See DECISIONS.md, 2."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from surgery import fence
from surgery.aliased import by_alias, elsewhere, models_of, read_models, with_models
from surgery.errors import SurgeryError
from surgery.fields import Options, Target, Targets
from surgery.likeness import Likeness
from surgery.measures import Measured, read_sidecar, write_sidecar
from surgery.operation import Operation
from surgery.registry import operation_named
from surgery.strict_json import clipped, once, refuse_keys, text_in
from surgery.typed import plain_fields
from surgery.whole_file import unwritten, write_whole

FORMAT, VERSION = "surgery-script", 1

MOST_STEPS, MOST_BYTES = 10_000, 100_000_000
"""Of one script; beyond that it is none that somebody made."""


@dataclass(frozen=True)
class Base:
    """Which model a script was made on: where it was opened from, its class and content."""

    source: str | None
    class_name: str
    fingerprint: str | None


@dataclass(frozen=True)
class Script:
    """Steps with the base they apply to; `result` is the edited model's fingerprint once known.

    `likeness` is what a replay elsewhere compares its result with, where equal bits are not promised.
    """

    base: Base
    steps: tuple[Operation, ...]
    result: str | None = None
    likeness: Likeness | None = None
    made_with: dict[str, str] = dataclasses.field(default_factory=lambda: made_with())

    def to_json(self) -> str:
        """The script as JSON text, a step per line."""
        steps = ",\n".join(f"    {json.dumps(by_alias(step_data(step)))}" for step in self.steps)
        base = {
            "source": self.base.source,
            "class": self.base.class_name,
            "fingerprint": self.base.fingerprint,
        }
        models = {
            alias: {"source": place, "fingerprint": mark} for alias, place, mark in models_of(self.steps)
        }
        told = f'  "models": {json.dumps(models)},\n' if models else ""
        return (
            f'{{\n  "format": "{FORMAT}", "version": {VERSION},\n  "base": {json.dumps(base)},\n'
            f"{told}"
            f'  "steps": [{chr(10) + steps + chr(10) + "  " if steps else ""}],\n'
            f'  "result": {_result(self.result, self.likeness)},\n'
            f'  "made_with": {json.dumps(self.made_with)}\n}}\n'
        )

    def to_python(self) -> str:
        """The steps as the Python that does the same on a session called `s`."""
        return python_of_all(self.steps)

    def with_models(self, places: Mapping[str, str]) -> Script:
        """The script with further models at other places, by the names that it has for them.

        They must hold what was recorded. SurgeryError for a name that the script does not have.
        """
        return dataclasses.replace(self, steps=elsewhere(self.steps, places))

    def write(self, path: str | Path) -> Path:
        """Writes the JSON, whole or not at all; returns the path.

        Large results of measures go into its sidecar, a safetensors file of the same name beside it.
        """
        if beside := self.sidecar():  # first, so that no script is there without what it needs
            place = Path(path).expanduser()
            try:
                write_sidecar(beside, place)
            except OSError as error:
                raise unwritten("the script", place, error) from None
        return write_whole(path, self.to_json(), "the script")

    def sidecar(self) -> dict[str, torch.Tensor]:
        """What measures found and the JSON does not say, by the names of a sidecar."""
        return {name: tensor for item in _measures(self.steps) for name, tensor in item.sidecar().items()}

    @classmethod
    def read(cls, path: str | Path) -> Script:
        """The script in a file; SurgeryError if it is not there, no script, or of another version."""
        fence.reading(path)
        try:
            with Path(path).open("rb") as file:
                found = file.read(MOST_BYTES + 1)
            text = found.decode() if len(found) <= MOST_BYTES else " " * len(found)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise SurgeryError(f"cannot read the script: {reason}", path=str(path)) from None
        try:
            script = cls.from_json(text)
            if any(item.tensors is None for item in _measures(script.steps)):
                script = script.with_sidecar(read_sidecar(Path(path).expanduser()))
            return script
        except SurgeryError as error:
            place = f"{path}: {error.path}" if error.path else str(path)
            raise SurgeryError(
                error.problem, path=place, got=error.got, expected=error.expected, hint=error.hint
            ) from None

    def with_sidecar(self, tensors: Mapping[str, torch.Tensor]) -> Script:
        """The script with what its measures found, out of a sidecar; SurgeryError where that is not there."""
        return dataclasses.replace(self, steps=tuple(_found(step, tensors) for step in self.steps))

    @classmethod
    def from_json(cls, text: str) -> Script:
        """A script from JSON text; unknown keys, versions, operations and fields are refused.

        So are texts of more than `MOST_BYTES`, and more than `MOST_STEPS` steps.
        """
        if len(text) > MOST_BYTES:
            raise SurgeryError("is longer than any edit script", expected=f"at most {MOST_BYTES:,} bytes")
        try:
            data = json.loads(text, object_pairs_hook=once)
            if "\\ud" in text.lower() or not text.isascii():
                json.dumps(data, ensure_ascii=False).encode()  # halves of characters, which no name can have
        except (ValueError, RecursionError):
            raise SurgeryError("is not JSON", expected="an edit script") from None
        needed = {"format", "version", "base", "steps"}
        refuse_keys(data, needed, {"models", "result", "made_with"}, "the script")
        if data["format"] != FORMAT:
            raise SurgeryError("is no edit script", got=clipped(data["format"]), expected=FORMAT)
        if data["version"] != VERSION or type(data["version"]) is not int:
            raise SurgeryError(
                "has a version this release cannot read",
                got=clipped(data["version"]),
                expected=VERSION,
                hint="a newer model-surgery",
            )
        refuse_keys(data["base"], {"class", "fingerprint"}, {"source"}, "base")
        if not isinstance(data["steps"], list):
            raise SurgeryError("steps is no list")
        if len(data["steps"]) > MOST_STEPS:
            raise SurgeryError(
                "has too many steps", got=f"{len(data['steps']):,}", expected=f"at most {MOST_STEPS:,}"
            )
        result = data.get("result") or {"fingerprint": None}
        refuse_keys(result, {"fingerprint"}, {"rest", "gauges"}, "result")
        likeness = Likeness.from_data(result) if len(result) > 1 else None
        base = Base(
            text_in(data["base"].get("source"), "base.source"),
            text_in(data["base"]["class"], "base.class") or "",
            text_in(data["base"]["fingerprint"], "base.fingerprint"),
        )
        models = read_models(data.get("models", {}))
        steps = tuple(
            step_from(with_models(item, models, f"steps[{index}]"), f"steps[{index}]")
            for index, item in enumerate(data["steps"])
        )
        circumstances = data.get("made_with") or {}
        refuse_keys(circumstances, set(), {"model-surgery", "torch", "cpu_capability", "device"}, "made_with")
        fingerprint = text_in(result["fingerprint"], "result.fingerprint")
        return cls(base, steps, fingerprint, likeness, dict(circumstances))


def _result(fingerprint: str | None, likeness: Likeness | None) -> str:
    """As JSON, with a line for each gauge."""
    said = f'{{"fingerprint": {json.dumps(fingerprint)}'
    if likeness is None:
        return f"{said}}}"
    gauged = {name: gauge.to_data() for name, gauge in likeness.gauges.items()}
    lines = (f"    {json.dumps(name)}: {json.dumps(data)}" for name, data in gauged.items())
    gauges = "{\n" + ",\n".join(lines) + "\n  }" if gauged else "{}"
    return f'{said}, "rest": {json.dumps(likeness.rest)}, "gauges": {gauges}}}'


def _measures(steps: tuple[Operation, ...]) -> Iterator[Measured]:
    for step in steps:
        for spec in step.specs:
            value = getattr(step, spec.name)
            if isinstance(value, Measured):
                yield value


def _found(step: Operation, sidecar: Mapping[str, torch.Tensor]) -> Operation:
    changes = {
        spec.name: value.found_in(sidecar)
        for spec in step.specs
        if isinstance(value := getattr(step, spec.name), Measured)
    }
    return dataclasses.replace(step, **changes) if changes else step


def step_data(step: Operation) -> dict[str, Any]:
    """A step as plain data: the operation's name and every field."""
    return {"operation": step.name} | plain_fields(step)


def step_from(data: Any, where: str) -> Operation:
    """The step that `data` describes; `where` names it in errors."""
    if not isinstance(data, dict) or not isinstance(data.get("operation"), str):
        raise SurgeryError("is no step", path=where, expected="an object with an operation")
    values = {key: value for key, value in data.items() if key != "operation"}
    try:
        return operation_named(data["operation"]).from_fields(values)
    except SurgeryError as error:
        raise SurgeryError(
            error.problem, path=where, got=error.got, expected=error.expected, hint=error.hint
        ) from None


def python_of(step: Operation) -> str:
    """`s.tie("model.layers.9", to="model.layers.8")`: the call that makes the step, defaults left out."""
    parts: list[str] = []
    for index, spec in enumerate(step.specs):
        value = getattr(step, spec.name)
        if not spec.is_asked or (not spec.required and value == spec.default):
            continue
        count = value.count if isinstance(value, Targets) else None
        if isinstance(value, Targets | Target):
            value = value.select
        elif spec.kind == "parents":
            value = [str(parent) for parent in value]
        elif isinstance(value, Options):
            value = value.data
        text = json.dumps(value) if isinstance(value, str | list) else repr(value)
        if count is not None:
            text = f"surgery.select({text}).expect({count})"
        parts.append(text if index == 0 and spec.kind == "paths" else f"{spec.name}={text}")
    return f"s.{step.name}({', '.join(parts)})"


def python_of_all(steps: tuple[Operation, ...]) -> str:
    """The calls that make the steps, one per line."""
    return "\n".join(python_of(step) for step in steps)


def made_with(device: str = "cpu") -> dict[str, str]:
    """What the promise of equal bits hangs on: versions, CPU capability and the device of the weights."""
    from surgery import __version__

    return {
        "model-surgery": __version__,
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": device,
    }
