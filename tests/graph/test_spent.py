"""Graphs of shells that are thrown away: equal to others, and nobody else's module is used up."""

import pytest
import torch
from torch import nn

from graph import extract, shell
from graph.extract import extract_spent
from tests.zoo import ZOO


@pytest.mark.parametrize("name", ZOO)
def test_the_graph_is_that_of_a_shell_that_is_kept(name: str) -> None:
    """Tree, ties, calls, edges and spans are those that `extract` finds."""
    model, inputs = ZOO[name]()
    origins = dict.fromkeys(model.modules(), "here")
    spent = shell(model)
    again = {new: origins[old] for new, old in spent.source_of.items()}
    assert extract_spent(spent, inputs, origins=again) == extract(model, inputs, origins=origins)


def test_the_model_that_the_shell_is_of_stays() -> None:
    """It holds what it held, in the mode that it was in, and runs as before."""
    model, inputs = ZOO["tied_head"]()
    model.train()
    before = {name: (module, dict(module.__dict__)) for name, module in model.named_modules()}
    tensors = [*model.parameters(), *model.buffers()]
    values = [tensor.detach().clone() for tensor in tensors]
    extract_spent(shell(model), inputs)
    for name, module in model.named_modules():
        assert module is before[name][0] and module.__dict__.keys() == before[name][1].keys()
        assert all(module.__dict__[key] is value for key, value in before[name][1].items())
    assert all(map(torch.equal, tensors, values))


def test_a_module_that_came_later_stays() -> None:
    """Only those made with the shell are used up: another that stands in it may be anybody's."""
    made = shell(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)))
    own, guest = made.model[2], nn.Sequential(nn.Linear(4, 4), nn.Dropout())
    made.model[0] = guest
    weight = guest[0].weight
    extract_spent(made, torch.zeros(1, 4))
    assert not own.__dict__
    assert guest[0].weight is weight and guest.training and guest(torch.zeros(1, 4)).shape == (1, 4)


def test_a_model_alone_is_refused() -> None:
    """What is nobody's must be said by handing over the shell; a model may be a session's."""
    model = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="only a Shell"):
        extract_spent(model, torch.zeros(1, 2))  # type: ignore[arg-type]
    assert model(torch.zeros(1, 2)).shape == (1, 2)
