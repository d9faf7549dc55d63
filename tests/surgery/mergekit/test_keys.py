"""Every key of a mergekit file is honoured, or refused by its name; what does nothing is said."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import surgery
from surgery.errors import SurgeryWarning
from surgery.mergekit import read
from surgery.script import Script

LINEAR = """
merge_method: linear
models:
  - {model: base, parameters: {weight: 1}}
  - {model: one, parameters: {weight: 2}}
"""
SLERP = """
merge_method: slerp
base_model: base
slices:
  - sources:
      - {model: base, layer_range: [0, 3]}
      - {model: one, layer_range: [0, 3]}
parameters: {t: 0.5}
"""


def read_text(text: str, place: Path) -> Script:
    """The script of a file with this text."""
    path = place / "config.yml"
    path.write_text(text)
    return read(path)


REFUSED = {
    "unknown key": (LINEAR + "dtpye: float32\n", "has no key 'dtpye'", "`dtype`"),
    "unknown key of a model": (LINEAR.replace("model: one", "modle: one"), "models[1]", "`model`"),
    "unknown key of a slice": (SLERP.replace("sources", "source"), "slices[0]", "`sources`"),
    "unknown key of a source": (
        SLERP.replace("layer_range", "layers"),
        "slices[0].sources[0]",
        "layer_range",
    ),
    "unknown method": (LINEAR.replace("linear", "liner"), "merge_method", "`linear`"),
    "unknown parameter": (
        LINEAR.replace("weight: 2", "wieght: 2"),
        "models[1].parameters.wieght",
        "`weight`",
    ),
    "no method": (LINEAR.replace("merge_method: linear", "dtype: float32"), "lacks `merge_method`", ""),
    "nothing to merge": ("merge_method: linear\n", "one of `models`, `slices` and `modules`", "none"),
    "models and slices": (SLERP + "models: [{model: base}]\n", "models and slices", ""),
    "no list": ("merge_method: linear\nmodels: {model: base}\n", "models: is no list", ""),
    "no mapping": ("- base\n- one\n", "is no mapping", ""),
    "a key twice": (LINEAR + "merge_method: slerp\n", "'merge_method' is given twice", "line 6"),
    "a parameter twice": (LINEAR + "parameters:\n  weight: 1\n  weight: 2\n", "'weight' is given twice", ""),
    "several documents": (LINEAR + "---\n" + LINEAR, "several merges", "2 documents"),
    "empty": ("", "is empty", ""),
    "no YAML": ("merge_method: [linear\n", "is not YAML", "line"),
    "code": ("merge_method: !!python/object/apply:os.getcwd []\n", "is not YAML", ""),
    "dtype": (LINEAR + "dtype: int64\n", "dtype: is no dtype for weights", "int64"),
    "out_dtype": (LINEAR + "out_dtype: fp16\n", "out_dtype: is no dtype for weights", "float16"),
    "residual weight": (
        SLERP.replace("parameters: {t", "    residual_weight: 0.1\nparameters: {t"),
        "slices[0].residual_weight",
        "can't be honoured",
    ),
    "tokens": (LINEAR + "tokenizer: {source: base, tokens: {a: {source: one}}}\n", "tokenizer.tokens", ""),
    "padding": (LINEAR + "tokenizer: {pad_to_multiple_of: 8}\n", "tokenizer.pad_to_multiple_of", ""),
    "both tokenizers": (LINEAR + "tokenizer: {source: base}\ntokenizer_source: base\n", "got both", ""),
    "unknown tokenizer key": (LINEAR + "tokenizer: {sauce: base}\n", "tokenizer: has no key", "`source`"),
    "template": (LINEAR + "chat_template: chatml\n", "chat_template", "can't be honoured"),
    "several modules": (
        "merge_method: linear\nmodules: {text: {models: []}, vision: {models: []}}\n",
        "modules",
        "text, vision",
    ),
    "adapter": (LINEAR.replace("model: one", "model: one+lora"), "one+lora", "`fold`"),
    "revision": (LINEAR.replace("model: one", "model: one@main"), "one@main", "revision"),
    "hub": (LINEAR.replace("model: one", "model: someone/model"), "someone/model", "no such folder"),
    "absent base": (LINEAR.replace("model: base", "model: nowhere"), "nowhere", "`--model FOLDER`"),
    "adapter in a mapping": (
        LINEAR.replace("model: one", "model: {model: {path: one}, lora: {path: other}}"),
        "models[1].model.lora",
        "can't be honoured",
    ),
    "revision in a mapping": (
        LINEAR.replace("model: one", "model: {model: {path: one, revision: main}}"),
        "models[1].model.model.revision",
        "can't be honoured",
    ),
    "architecture": (
        LINEAR.replace("model: one", "model: {model: one, override_architecture: Other}"),
        "override_architecture",
        "can't be honoured",
    ),
    "a model twice": (LINEAR.replace("model: one", "model: base"), "has a model twice", "base"),
    "no base": (SLERP.replace("base_model: base\n", ""), "needs a base model", ""),
    "base not merged": (
        SLERP.replace("base_model: base", "base_model: two"),
        "does not merge the base",
        "two",
    ),
    "too many": (
        "merge_method: slerp\nbase_model: base\nmodels: [{model: one}, {model: two}]\nparameters: {t: 1}\n",
        "another number of models",
        "expected 1",
    ),
    "too few": (
        "merge_method: model_stock\nbase_model: base\nmodels: [{model: one}]\n",
        "another number of models",
        "2 or more",
    ),
    "no value": (LINEAR.replace("weight: 2", ""), "needs a value of `weight`", "of models[1]"),
    "no value for some": (
        LINEAR.replace("weight: 2", "weight: [{filter: mlp, value: 1}]"),
        "needs a value of `weight`",
        "model.embed_tokens.weight of models[1]",
    ),
    "no number": (LINEAR.replace("weight: 2", "weight: much"), "models[1].parameters.weight", "a number"),
    "no finite number": (LINEAR.replace("weight: 2", "weight: .nan"), "does not fit", "a number"),
    "no flag": (LINEAR + "parameters: {normalize: perhaps}\n", "parameters.normalize", "true or false"),
    "no whole number": (
        "merge_method: karcher\nmodels: [{model: base}]\nparameters: {max_iter: 2.5}\n",
        "parameters.max_iter",
        "a whole number",
    ),
    "no filter": (LINEAR.replace("weight: 2", "weight: [{filtre: mlp, value: 1}]"), "weight[0]", "`filter`"),
    "large eps": (
        "merge_method: multislerp\nmodels: [{model: base}, {model: one}]\n"
        "parameters: {weight: 1, eps: 0.1}\n",
        "parameters.eps",
        "1e-8",
    ),
    "no range": (SLERP.replace("[0, 3]", "[3, 0]"), "layer_range", "one past the last"),
    "uneven ranges": (
        SLERP.replace("one, layer_range: [0, 3]", "one, layer_range: [0, 2]"),
        "slices[0]: the sources of a slice have different numbers of blocks",
        "[3, 2]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_honoured_is_refused_by_name(name: str, models: Path) -> None:
    """The sentence names the file, the key and the way out."""
    text, *parts = REFUSED[name]
    with pytest.raises(surgery.SurgeryError) as caught:
        read_text(text, models)
    assert "config.yml" in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_a_file_that_is_not_there_is_refused(models: Path) -> None:
    """As a script is."""
    with pytest.raises(surgery.SurgeryError, match=r"nowhere\.yml: cannot read the file"):
        read(models / "nowhere.yml")


WITHOUT_EFFECT = {
    "int8_mask": (
        "merge_method: ties\nbase_model: base\nmodels: [{model: one}]\n"
        "parameters: {weight: 1, int8_mask: true}\n",
        "parameters.int8_mask: has no effect on results",
    ),
    "of another method": (LINEAR + "parameters: {density: 0.5}\n", "density: has no effect with linear"),
    "of the base": (
        "merge_method: ties\nbase_model: base\nparameters: {weight: 1}\n"
        "models: [{model: one}, {model: base, parameters: {weight: 2}}]\n",
        r"models\[1\].parameters.weight: has no effect where the base model has it",
    ),
    "of a model": (
        SLERP.replace("one, layer_range", "one, parameters: {t: 0.1}, layer_range"),
        r"slices\[0\].sources\[1\].parameters.t: has no effect where a model has it",
    ),
    "unused by the method": (
        "merge_method: task_arithmetic\nbase_model: base\nmodels: [{model: one}]\n"
        "parameters: {weight: 1, rescale: true}\n",
        "parameters.rescale: has no effect with task_arithmetic",
    ),
    "draws": (
        "merge_method: dare_ties\nbase_model: base\nmodels: [{model: one}]\nparameters: {weight: 1}\n",
        "draws of their own",
    ),
}


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_what_has_no_effect_is_said(name: str, models: Path) -> None:
    """A file that mergekit takes is taken, with a warning for what mergekit ignores."""
    text, sentence = WITHOUT_EFFECT[name]
    with pytest.warns(SurgeryWarning, match=sentence):
        assert read_text(text, models).steps


def test_an_ordinary_file_says_nothing(models: Path) -> None:
    """No warning without a reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_text(SLERP, models).steps) == 1


HONOURED = {
    "weights follow the models": (
        "merge_method: linear\nbase_model: two\nmodels:\n"
        "- {model: one, parameters: {weight: 3}}\n- {model: two, parameters: {weight: 4}}\n",
        's.merge("", parents=["one"], weights=(4.0, 3.0), normalize=True)',
    ),
    "an unlisted base is a model": (
        "merge_method: linear\nbase_model: two\nmodels: [{model: one}]\nparameters: {weight: 1}\n",
        's.merge("", parents=["one"], weights=(1.0, 1.0), normalize=True)',
    ),
    "a model before the file": (
        LINEAR + "parameters: {weight: 7}\n",
        's.merge("", parents=["one"], weights=(1.0, 2.0), normalize=True)',
    ),
    "a slice before the file": (
        SLERP.replace("parameters: {t: 0.5}", "    parameters: {t: 0.2}\nparameters: {t: 0.5}"),
        's.slerp("", parents=["one"], t=0.2)',
    ),
    "a number written 1e-5": (
        "merge_method: nearswap\nbase_model: base\nmodels: [{model: one}]\nparameters: {t: 1e-5}\n",
        's.nearswap("", parents=["one"], t=1e-05)',
    ),
    "the first filter that fits": (
        SLERP.replace(
            "{t: 0.5}",
            "{t: [{filter: nothing, value: 9}, {filter: q_proj, value: 1}, {filter: self_attn, value: 0},"
            " {filter: '*', value: 0.25}]}",
        ),
        's.slerp("", parents=["one"], only="!self_attn", t=0.25)\n'
        's.slerp("", parents=["one"], only="q_proj", t=1.0)\n'
        's.slerp("", parents=["one"], only="self_attn !q_proj", t=0.0)',
    ),
    "a list of one": (
        SLERP.replace("t: 0.5", "t: [0.5]"),
        's.slerp("", parents=["one"])',
    ),
    "a reference in parts": (
        LINEAR.replace("model: one", "model: {model: {path: one}}"),
        's.merge("", parents=["one"], weights=(1.0, 2.0), normalize=True)',
    ),
    "a dtype with its library": (
        LINEAR + "dtype: torch.float64\n",
        's.cast("", dtype="float64")\ns.merge("", parents=["one"], weights=(1.0, 2.0), normalize=True)',
    ),
    "narrow after the merge": (
        LINEAR + "dtype: float32\nout_dtype: float16\n",
        's.merge("", parents=["one"], weights=(1.0, 2.0), normalize=True)\ns.cast("", dtype="float16")',
    ),
    "between two dtypes of 16 bits": (
        LINEAR.replace("base", "half").replace("one", "half_one") + "dtype: float16\n",
        's.cast("", dtype="float32")\n'
        's.merge("", parents=["half_one"], weights=(1.0, 2.0), normalize=True)\n'
        's.cast("", dtype="float16")',
    ),
    "computed in float64": (
        LINEAR + "dtype: float64\nout_dtype: float32\n",
        's.cast("", dtype="float64")\n'
        's.merge("", parents=["one"], weights=(1.0, 2.0), normalize=True)\n'
        's.cast("", dtype="float32")',
    ),
    "keys that say nothing": (
        LINEAR + "dtype:\nout_dtype: null\nparameters:\nchat_template:\ntokenizer_source:\nbase_model:\n",
        's.merge("", parents=["one"], weights=(1.0, 2.0), normalize=True)',
    ),
    "the tokenizer of the base": (
        LINEAR + "tokenizer_source: base\n",
        's.merge("", parents=["one"], weights=(1.0, 2.0), normalize=True)',
    ),
    "yes for true": (
        "merge_method: task_arithmetic\nbase_model: base\nmodels: [{model: one}]\n"
        "parameters: {weight: 1, normalize: yes}\n",
        's.task_arithmetic("", parents=["one"], weights=(1.0,), normalize=True)',
    ),
    "nothing to do": ("merge_method: passthrough\nmodels: [{model: base}]\n", ""),
    "the base alone": (
        "merge_method: ties\nbase_model: base\nmodels: [{model: base}]\nparameters: {weight: 1}\n",
        "",
    ),
}


@pytest.mark.parametrize("name", HONOURED)
@pytest.mark.filterwarnings("ignore::surgery.errors.SurgeryWarning")
def test_what_a_file_says_is_in_the_steps(name: str, models: Path) -> None:
    """As the calls that would do the same."""
    text, steps = HONOURED[name]
    assert read_text(text, models).to_python() == steps


def test_the_base_of_the_script_is_the_base_of_the_file(models: Path) -> None:
    """Or the first model where it names none; its class and content are not known."""
    base = read_text(SLERP, models).base
    assert (base.source, base.class_name, base.fingerprint) == ("base", "", None)
    assert read_text(LINEAR.replace("model: base", "model: ./base"), models).base.source == "./base"
