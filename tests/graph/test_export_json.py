"""Graphs as JSON, read back with every key checked, and the schema that says it to others."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import jsonschema
import pytest
from torch import nn, zeros

import graph.nodes
from graph import ModuleGraph, extract, from_json, json_schema, to_json
from graph.export.forms import form_of, plain
from tests.odd import ODD_NAMES, chain, odd_graph
from tests.zoo import ZOO

VALIDATOR = jsonschema.Draft202012Validator(json_schema())
STRANGE = (None, True, 7, -1.5, "", "parameter", [], ["x", 1], {}, {"shape": []})


def sample() -> dict[str, Any]:
    """A small graph with everything in it: a tie, an opaque module, a problem, attributes, a span."""
    data = to_json(odd_graph("mix"))
    data["modules"][1]["attributes"] = [["a", 1.5], ["b", True], ["c", None], ["d", "x"], ["e", 3]]
    data["spans"] = [{"module": "mix", "start": 0, "stop": 1}]
    return data


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, as the keys that lead there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in items:
        yield (*here, key)
        yield from places(inside, (*here, key))


def at(data: Any, place: tuple[Any, ...]) -> Any:
    """The list or object that holds `place`."""
    for key in place[:-1]:
        data = data[key]
    return data


def spelled(place: tuple[Any, ...]) -> str:
    """A place as errors name it: `modules[1].tensors[0].shape`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).removeprefix(".")


@pytest.mark.parametrize("name", ZOO)
def test_json_round_trip(name: str) -> None:
    """A graph written as strict JSON text fits the schema, and read back is equal."""
    made = extract(*ZOO[name]())
    data = json.loads(json.dumps(to_json(made), allow_nan=False))
    VALIDATOR.validate(data)
    assert from_json(data) == made


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=list(ODD_NAMES))
def test_odd_names_round_trip(name: str) -> None:
    """Whatever a name is made of, it comes back as it was."""
    data = json.loads(json.dumps(to_json(odd_graph(name))))
    VALIDATOR.validate(data)
    assert from_json(data) == odd_graph(name)


def test_deep_graphs_round_trip() -> None:
    """The records are flat: a tree of any depth is a list."""
    assert from_json(json.loads(json.dumps(to_json(chain(1500))))) == chain(1500)


def test_problem_and_opacity_survive() -> None:
    """Problems and opaque modules are written too."""
    made = extract(nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 3)), zeros(1, 2))
    assert made.problem is not None
    assert from_json(to_json(made)) == made


@pytest.mark.parametrize("schema", [99, "1", None, True, 1.0, [1]])
def test_other_schema_is_refused(schema: Any) -> None:
    """Another schema is not guessed at."""
    with pytest.raises(ValueError, match=r"^graph schema .*; this version reads 1$"):
        from_json(sample() | {"schema": schema})
    with pytest.raises(ValueError, match=r"^graph schema None"):
        from_json({key: value for key, value in sample().items() if key != "schema"})


@pytest.mark.parametrize("data", [None, [], "graph", 1])
def test_what_is_no_object_is_refused(data: Any) -> None:
    """A file that holds something else is refused in a sentence too."""
    with pytest.raises(ValueError, match=r"^graph: got no object"):
        from_json(data)


def test_each_missing_and_unknown_key_is_refused_where_it_is() -> None:
    """ValueError with the place and the key, wherever in the graph it is; the schema refuses it as well."""
    tried = 0
    for place in places(sample()):
        holder = at(sample(), place)
        if not isinstance(holder, dict) or place == ("schema",):
            continue
        for change in ("missing", "unknown"):
            data = sample()
            inside = at(data, place)
            if change == "missing":
                del inside[place[-1]]
            else:
                inside["extra"] = 1
            key = place[-1] if change == "missing" else "extra"
            with pytest.raises(ValueError) as refused:
                from_json(data)
            where = spelled(place[:-1]) or "the whole"
            assert str(refused.value) == f"graph, {where}: the key {key!r} is {change}"
            assert not VALIDATOR.is_valid(data)
            tried += 1
    assert tried > 100


def test_each_value_of_another_type_is_refused_where_it_is() -> None:
    """Every value replaced by others: what from_json reads the schema allows, and the other way round."""
    refused = 0
    for place in places(sample()):
        if place == ("schema",):
            continue
        for strange in STRANGE:
            data = sample()
            at(data, place)[place[-1]] = copy.deepcopy(strange)
            try:
                read = from_json(data)
            except ValueError as error:
                refused += 1
                if VALIDATOR.is_valid(data):  # the type fits, but it refers to what isn't there
                    assert str(error).endswith(("comes twice", "is not there", "the place in the list"))
                else:
                    assert str(error).startswith(f"graph, {spelled(place)}"), error
            else:
                assert VALIDATOR.is_valid(data), (place, strange)
                assert to_json(read) == data
    assert refused > 500


def test_an_error_shows_little_of_a_large_value() -> None:
    """The sentence stays one line, however long what was found."""
    data = sample()
    data["modules"][0]["path"] = ["x" * 10_000] * 5
    with pytest.raises(ValueError, match=r"^graph, modules\[0\].path: got a list of 5, expected a text$"):
        from_json(data)
    data["modules"][0]["path"] = ""
    data["tokens"] = "x\n" * 10_000
    with pytest.raises(ValueError) as refused:
        from_json(data)
    assert len(str(refused.value)) < 200 and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data["modules"].append(data["modules"][1]), "modules: one path comes twice"),
        (lambda data: data["modules"][2].update(tie=1), "modules, 'other': its tie is not there"),
        (lambda data: data["modules"][1]["tensors"][0].update(tie=-1), "its tie is not there"),
        (lambda data: data["ties"][0].update(index=1), "ties: an index is not the place in the list"),
        (lambda data: data["edges"][1].update(target=2), r"edges\[1\]: a call it joins is not there"),
    ],
)
def test_references_to_nothing_are_refused(change: Any, said: str) -> None:
    """What would raise only when somebody looks is refused when it is read."""
    data = sample()
    change(data)
    with pytest.raises(ValueError, match=said):
        from_json(data)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_lacks_are_refused(value: float) -> None:
    """Python's reader lets NaN through; other programs don't."""
    data = sample()
    data["modules"][1]["attributes"] = [["eps", value]]
    with pytest.raises(ValueError, match=r"^graph, modules\[1\].attributes\[0\]\[1\]: got (nan|inf), "):
        from_json(data)


def test_the_schema_is_a_schema_and_names_every_field() -> None:
    """It is one by the rules of draft 2020-12, and says what each record is."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema
    records = {
        name: cls
        for name, cls in vars(graph.nodes).items()
        if is_dataclass(cls) and cls is not ModuleGraph and name in schema["$defs"]
    }
    assert schema["$defs"].keys() == records.keys() and len(records) >= 8
    for name, cls in records.items():
        made = schema["$defs"][name]
        assert list(made["properties"]) == made["required"] == [field.name for field in fields(cls)]
        assert made["additionalProperties"] is False
        assert made["description"].splitlines()[0] == cls.__doc__.splitlines()[0]
    assert list(schema["properties"]) == ["schema", *(field.name for field in fields(ModuleGraph))]


@dataclass(frozen=True)
class _Leaf:
    share: float
    kind: Literal["a", "b"]
    pairs: tuple[tuple[str, int], ...] = ()
    below: tuple["_Leaf", ...] = ()
    other: "_Leaf | None" = None


def test_a_new_record_needs_no_code() -> None:
    """Numbers, words, pairs, records in themselves and forward references are read off the hints."""
    leaf = _Leaf(2.5, "b", (("x", 1),), (_Leaf(1, "a"),), _Leaf(0.0, "a"))
    form = form_of(_Leaf)
    data = json.loads(json.dumps(plain(leaf)))
    assert form.read(data) == leaf
    definitions: dict[str, Any] = {}
    schema = form.schema(definitions) | {"$defs": definitions}
    jsonschema.Draft202012Validator(schema).validate(data)
    assert "description" not in definitions["_Leaf"]  # nobody wrote one
    with pytest.raises(ValueError, match=r"^below\[0\].kind: got 'c', expected 'a' or 'b'$"):
        form.read(data | {"below": [data["below"][0] | {"kind": "c"}]})


def test_a_field_that_has_no_form_is_refused_by_name() -> None:
    """A hint nobody thought of fails when the form is made, not when somebody's file is read."""
    with pytest.raises(TypeError, match="no JSON form"):
        form_of(set[int])
