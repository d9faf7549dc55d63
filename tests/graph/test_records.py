"""Records that are made quickly are dataclasses like others."""

import dataclasses
import inspect
import pickle

import pytest

from graph.nodes import CallNode, Edge, ModuleNode, ParameterNode, Span, TensorSpec
from graph.records import maker_of, quickly_made


@dataclasses.dataclass(frozen=True, slots=True)
class Plain:
    """A record with a default, as `dataclass` makes it."""

    name: str
    count: int = 3


Quick = quickly_made(
    dataclasses.make_dataclass("Quick", [("name", str), ("count", int, 3)], frozen=True, slots=True)
)


@pytest.mark.parametrize("given", [("a",), ("a", 4)])
def test_a_quick_record_holds_what_a_plain_one_does(given: tuple[str | int, ...]) -> None:
    """Values by position and by name, and defaults, arrive in the same fields."""
    plain, quick = Plain(*given), Quick(*given)  # type: ignore[arg-type]
    assert dataclasses.astuple(quick) == dataclasses.astuple(plain)
    assert quick == Quick(**dict(zip(("name", "count"), given, strict=False)))
    assert dataclasses.replace(quick, count=9) == Quick("a", 9)


def test_what_is_missing_or_unknown_is_refused() -> None:
    """The constructor is as strict as any."""
    with pytest.raises(TypeError):
        Quick()
    with pytest.raises(TypeError):
        Quick("a", colour="red")


@pytest.mark.parametrize("kind", [ParameterNode, ModuleNode, CallNode, Edge, Span, TensorSpec])
def test_records_of_a_graph_name_every_field(kind: type) -> None:
    """Their constructors take the fields in order, with the defaults that these have."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    assert [parameter.name for parameter in parameters] == list(defaults)
    for parameter in parameters:
        missing = defaults[parameter.name] is dataclasses.MISSING
        assert parameter.default is (inspect.Parameter.empty if missing else defaults[parameter.name])


def test_records_stay_frozen_and_travel() -> None:
    """Nothing can be assigned, and a pickled record is equal."""
    edge = Edge(0, 1, 0, TensorSpec((2, 3), "float32"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        edge.target = 4  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(edge)) == edge
    assert hash(edge) == hash(Edge(0, 1, 0, TensorSpec((2, 3), "float32"), output=0))


def test_a_maker_makes_records_of_the_class() -> None:
    """They are equal to those of the constructor, of its very class, frozen, and travel."""
    make, spec = maker_of(Edge), TensorSpec((2, 3), "float32")
    made = make(0, 1, 2, spec, 3)
    assert (
        made == Edge(0, 1, 2, spec, 3) and type(made) is Edge and hash(made) == hash(Edge(0, 1, 2, spec, 3))
    )
    assert repr(made) == repr(Edge(0, 1, 2, spec, 3)) and pickle.loads(pickle.dumps(made)) == made
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.target = 4  # type: ignore[misc]
    with pytest.raises(TypeError):
        make(0, 1, 2)
