"""What a mergekit file asks of a method is checked here: its models, and the parameters it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from graph.paths import nearest
from surgery.errors import SurgeryError
from surgery.mergekit.config import MergeFile, Source
from surgery.mergekit.methods import METHODS, PARAMETERS, Method
from surgery.mergekit.settings import Parameter, choices

Place = Literal["", "model", "base"]
DRAWN = ("dare_linear", "dare_ties", "della", "della_linear")
_TINY = 1e-6


def method_of(file: MergeFile) -> Method:
    """The method of the file; SurgeryError with the nearest name."""
    if file.method not in METHODS:
        near = nearest(file.method, METHODS, 1)
        raise SurgeryError(
            "is no method of mergekit",
            path="merge_method",
            got=file.method,
            expected=f"one of {', '.join(METHODS)}",
            hint=f"`{near[0]}`" if near else None,
        )
    return METHODS[file.method]


def check_models(method: Method, sources: tuple[Source, ...], base: str | None, where: str) -> None:
    """SurgeryError where the models are not those that the method takes."""
    names = [source.model for source in sources]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise SurgeryError("has a model twice", path=where, got=twice[0])
    if method.base == "needed" and base is None:
        raise SurgeryError("this method needs a base model", path="base_model", hint="`base_model: FOLDER`")
    if base is not None and base not in names:
        raise SurgeryError("does not merge the base model", path=where, got=", ".join(names), expected=base)
    count = len(names) - (base is not None)
    if count < method.least or (method.most is not None and count > method.most):
        expected = str(method.least) if method.least == method.most else f"{method.least} or more"
        if method.most is not None and method.least < method.most:
            expected = f"{method.least} to {method.most}"
        besides = " besides the base" if base is not None else ""
        raise SurgeryError(
            f"has another number of models{besides} than this method takes",
            path=where,
            got=count,
            expected=expected,
        )


def check_parameters(file: MergeFile, method: Method) -> list[str]:
    """What has no effect, as sentences; SurgeryError for a parameter that mergekit does not know."""
    known = _Known(file.method, method)
    for source in file.models:
        known.see(source.parameters, source.where, _place_of(source, file.base_model))
    for item in file.slices:
        known.see(item.parameters, item.where, "")
        for source in item.sources:
            known.see(source.parameters, source.where, _place_of(source, item.base_model or file.base_model))
    for level in file.levels:
        known.see(level, "", "")
    if file.method in DRAWN:
        known.notes.append(
            f"{file.method} drops at random: results are distributed as mergekit's, with draws of their own"
        )
    return known.notes


def _place_of(source: Source, base: str | None) -> Place:
    return "base" if source.model == base else "model"


class _Known:
    """The parameters of a method, and what was said of them that has no effect."""

    def __init__(self, name: str, method: Method) -> None:
        self.name, self.method, self.notes = name, method, list[str]()
        self.own = {parameter.name: parameter for parameter in method.parameters}

    def see(self, said: Mapping[str, Any], where: str, place: Place) -> None:
        """Checks the parameters of one level; `place` says whether a model has them, and which."""
        for key, value in said.items():
            path = f"{where}.parameters.{key}".lstrip(".")
            if key not in PARAMETERS:
                near = nearest(str(key), PARAMETERS, 1)
                raise SurgeryError(
                    "is no parameter of mergekit's methods",
                    path=path,
                    expected=f"{', '.join(self.own) or 'none'} for {self.name}",
                    hint=f"`{near[0]}`" if near else None,
                )
            if key == "eps" and key in self.method.inert:
                _check_eps(value, path)
            elif reason := self._without_effect(key, place):
                self.notes.append(f"{path}: has no effect {reason}, in mergekit neither")

    def _without_effect(self, key: str, place: Place) -> str | None:
        if key not in self.own or key in self.method.inert:
            return "on results" if key == "int8_mask" else f"with {self.name}"
        if place and self.own[key].scope == "shared":
            return "where a model has it: it belongs to the slice or the file"
        if place == "base" and self.own[key].scope == "others" and self.method.base != "none":
            return "where the base model has it"
        return None


def _check_eps(value: Any, path: str) -> None:
    """What keeps a division from zero does not change results as long as it is small."""
    for choice in choices(Parameter("eps"), value, path):
        if not isinstance(choice.value, float) or not 0 <= choice.value <= _TINY:
            raise SurgeryError(
                "this key of mergekit can't be honoured here", path=path, got=choice.value, expected="1e-8"
            )
