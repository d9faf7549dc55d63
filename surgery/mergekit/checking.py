"""What a mergekit file asks of a method is checked here: its models, and the parameters it has."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from graph.paths import nearest
from surgery.errors import SurgeryError, SurgeryWarning
from surgery.mergekit.config import MergeFile, Source
from surgery.mergekit.methods import METHODS, PARAMETERS, Method
from surgery.mergekit.settings import Parameter, choices

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


def check_parameters(file: MergeFile, method: Method) -> None:
    """SurgeryError for a parameter that mergekit does not know; a SurgeryWarning for what does nothing."""
    own = {parameter.name: parameter for parameter in method.parameters}
    sources = [*file.models, *(source for item in file.slices for source in item.sources)]
    for source in sources:
        _check(file.method, own, method, source.parameters, f"{source.where}.parameters", True)
    for item in file.slices:
        _check(file.method, own, method, item.parameters, f"{item.where}.parameters", False)
    for level in file.levels:
        _check(file.method, own, method, level, "parameters", False)
    if file.method in DRAWN:
        _say(
            f"{file.method} drops elements at random: the result has the distribution of mergekit's, with "
            "draws of its own"
        )


def _check(
    name: str,
    own: Mapping[str, Parameter],
    method: Method,
    said: Mapping[str, Any],
    where: str,
    of_model: bool,
) -> None:
    for key, value in said.items():
        place = f"{where}.{key}"
        if key not in PARAMETERS:
            near = nearest(str(key), PARAMETERS, 1)
            raise SurgeryError(
                "is no parameter of mergekit's methods",
                path=place,
                expected=f"one of {', '.join(own) or 'none'} for {name}",
                hint=f"`{near[0]}`" if near else None,
            )
        if key == "eps" and key in method.inert:
            _check_eps(value, place)
        elif key not in own or (of_model and own[key].scope == "shared"):
            _say(f"{place}: has no effect with {name}" + _why(key, own, of_model) + ", in mergekit neither")


def _check_eps(value: Any, place: str) -> None:
    """What keeps a division from zero does not change results as long as it is small."""
    for choice in choices(Parameter("eps"), value, place):
        if not isinstance(choice.value, float) or not 0 <= choice.value <= _TINY:
            raise SurgeryError(
                "this key of mergekit can't be honoured here", path=place, got=choice.value, expected="1e-8"
            )


def _why(key: str, own: Mapping[str, Parameter], of_model: bool) -> str:
    if key in own and of_model:
        return " where a model has it: it belongs to the slice or the file"
    return " on the result" if key == "int8_mask" else ""


def _say(text: str) -> None:
    warnings.warn(text, SurgeryWarning, stacklevel=6)
