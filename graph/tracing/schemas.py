"""What an operator does with the tensors it is given, as its schema declares it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

_aten = torch.ops.aten
INDEX = _aten.index.Tensor
_VIEWS = frozenset({
    _aten.alias.default, _aten.detach.default, _aten.expand.default, _aten.permute.default,
    _aten.select.int, _aten.slice.Tensor, _aten.split.Tensor, _aten.split_with_sizes.default,
    _aten.squeeze.dim, _aten.t.default, _aten.transpose.int, _aten.unbind.int, _aten.unsqueeze.default,
    _aten.view.default,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Traits:
    """`fresh`: what it returns is new and of a shape that hangs on shapes alone; `view`: a plain view.

    `in_place`: it writes into its first argument, which it returns, and nothing else. `writes` names the
    arguments it writes into, by position or keyword.
    """

    fresh: bool
    view: bool
    in_place: bool
    writes: tuple[int | str, ...]


_known: dict[Any, Traits] = {}


def traits_of(operator: Any) -> Traits:
    """The traits of an operator overload."""
    found = _known.get(operator)
    if found is None:
        found = _known[operator] = _traits(operator)
    return found


def written_by(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[torch.Tensor]:
    """The tensors that `operator(*args, **kwargs)` writes into."""
    for place in traits_of(operator).writes:
        value = kwargs.get(place) if isinstance(place, str) else next(iter(args[place : place + 1]), None)
        for tensor in value if isinstance(value, list | tuple) else (value,):
            if isinstance(tensor, torch.Tensor):
                yield tensor


def _traits(operator: Any) -> Traits:
    schema = operator._schema
    aliases = any(returned.alias_info is not None for returned in schema.returns)
    by_value = torch.Tag.dynamic_output_shape in operator.tags and operator is not INDEX
    writes: list[int | str] = []
    for position, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            writes.append(argument.name if argument.kwarg_only else position)
    moves = torch.Tag.inplace_view in operator.tags
    return Traits(
        fresh=not (schema.is_mutable or aliases or by_value),
        view=operator in _VIEWS,
        in_place=writes == [0] and len(schema.returns) == 1 and aliases and not moves,
        writes=tuple(writes),
    )
