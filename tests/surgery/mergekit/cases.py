"""mergekit files whose results are kept in `expected.safetensors`: see `make_expected.py`."""

from __future__ import annotations

KEPT = (
    "model.embed_tokens.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "model.layers.1.mlp.down_proj.weight",
    "model.layers.1.input_layernorm.weight",
    "model.layers.2.self_attn.k_proj.weight",
    "model.layers.3.mlp.gate_proj.weight",
    "model.layers.6.self_attn.o_proj.weight",
    "model.norm.weight",
    "lm_head.weight",
)
"""The tensors that are kept of each."""

CASES = {
    "linear": """
merge_method: linear
models:
  - model: base
    parameters: {weight: 0.5}
  - model: one
    parameters: {weight: 0.2}
  - model: two
    parameters: {weight: 1.1}
dtype: float32
""",
    "linear_sum": """
merge_method: linear
base_model: one
models:
  - model: base
    parameters: {weight: 0.5}
  - model: one
    parameters: {weight: [0.2, 0.6, -0.1]}
parameters: {normalize: false}
dtype: float32
""",
    "linear_alone": """
merge_method: linear
models:
  - model: base
    parameters: {weight: [0.5, 2]}
parameters: {normalize: false}
dtype: float32
""",
    "slerp": """
slices:
  - sources:
      - {model: one, layer_range: [0, 3]}
      - {model: base, layer_range: [0, 3]}
merge_method: slerp
base_model: base
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5
dtype: float32
""",
    "slerp_far": """
merge_method: slerp
base_model: base
models: [{model: base}, {model: far}]
parameters: {t: [0.9, 0.1]}
dtype: float32
""",
    "slerp_single": """
merge_method: slerp
base_model: single
models: [{model: single}, {model: single_one}]
parameters: {t: [0.9, 0.1]}
dtype: float32
""",
    "slerp_slices": """
merge_method: slerp
base_model: base
slices:
  - sources:
      - {model: base, layer_range: [0, 2]}
      - {model: far, layer_range: [0, 2]}
    parameters: {t: [0.1, 0.4]}
  - sources:
      - {model: base, layer_range: [2, 3]}
      - {model: far, layer_range: [2, 3]}
    parameters: {t: [{filter: self_attn, value: [0.2, 0.8]}, {value: 0.6}]}
dtype: float32
""",
    "nuslerp": """
merge_method: nuslerp
models:
  - {model: one, parameters: {weight: 0.4}}
  - {model: far, parameters: {weight: [0.5, 1.5]}}
dtype: float32
""",
    "nuslerp_base": """
merge_method: nuslerp
base_model: base
models:
  - {model: one, parameters: {weight: 0.4}}
  - {model: two, parameters: {weight: 0.8}}
dtype: float32
""",
    "nuslerp_rows": """
merge_method: nuslerp
models:
  - {model: one, parameters: {weight: 0.4}}
  - {model: far, parameters: {weight: 0.8}}
parameters: {nuslerp_flatten: false}
dtype: float32
""",
    "nuslerp_columns": """
merge_method: nuslerp
base_model: base
models:
  - {model: one, parameters: {weight: 0.4}}
  - {model: two, parameters: {weight: 0.8}}
parameters: {nuslerp_flatten: false, nuslerp_row_wise: true}
dtype: float32
""",
    "multislerp": """
merge_method: multislerp
models:
  - {model: one, parameters: {weight: 0.4}}
  - {model: far, parameters: {weight: 0.8}}
  - {model: two, parameters: {weight: 0.3}}
dtype: float32
""",
    "multislerp_base": """
merge_method: multislerp
base_model: base
models:
  - {model: one, parameters: {weight: 0.4}}
  - {model: two, parameters: {weight: 0.8}}
parameters: {normalize_weights: false, eps: 1e-8}
dtype: float32
""",
    "multislerp_alone": """
merge_method: multislerp
base_model: base
models: [{model: one, parameters: {weight: 0.4}}]
dtype: float32
""",
    "karcher": """
merge_method: karcher
models: [{model: base}, {model: one}, {model: far}]
parameters: {max_iter: 20, tol: 1e-6}
dtype: float32
""",
    "karcher_base": """
merge_method: karcher
base_model: far
models: [{model: base}, {model: one}]
dtype: float32
""",
    "task_arithmetic": """
merge_method: task_arithmetic
base_model: base
models:
  - model: base
  - {model: one, parameters: {weight: 0.4}}
  - {model: two, parameters: {weight: [-0.3, 0.9]}}
parameters: {lambda: [0.5, 1.5], normalize: false, int8_mask: true}
dtype: float32
""",
    "task_arithmetic_mean": """
merge_method: task_arithmetic
base_model: base
models: [{model: one}, {model: two}]
parameters: {weight: 0.7, lambda: 1.3, normalize: true}
dtype: float32
""",
    "ties": """
merge_method: ties
base_model: base
models:
  - {model: one, parameters: {density: 0.5, weight: 0.5}}
  - {model: two, parameters: {density: [0.3, 0.7], weight: 0.3}}
  - {model: three, parameters: {density: 0.5, weight: [{filter: mlp, value: 0.9}, {value: 0.1}]}}
parameters: {int8_mask: true}
dtype: float32
""",
    "ties_rescaled": """
merge_method: ties
base_model: base
models: [{model: one}, {model: two}, {model: three}]
parameters: {density: 0.3, weight: 0.7, normalize: false, rescale: true, lambda: 0.8}
dtype: float32
""",
    "ties_default": """
merge_method: ties
base_model: base
models: [{model: one}, {model: two}]
parameters: {weight: 0.5}
dtype: float32
""",
    "dare_linear_all": """
merge_method: dare_linear
base_model: base
models: [{model: one}, {model: two}]
parameters: {weight: 0.5, density: 1.0}
dtype: float32
""",
    "dare_ties_all": """
merge_method: dare_ties
base_model: base
models: [{model: one}, {model: two}, {model: three}]
parameters: {weight: 0.5, density: 1.0, normalize: true}
dtype: float32
""",
    "della_all": """
merge_method: della
base_model: base
models: [{model: one}, {model: two}, {model: three}]
parameters: {weight: 0.5, density: 1.0, lambda: 0.9}
dtype: float32
""",
    "della_linear_all": """
merge_method: della_linear
base_model: base
models: [{model: one}, {model: two}, {model: three}]
parameters: {weight: 0.5}
dtype: float32
""",
    "breadcrumbs": """
merge_method: breadcrumbs
base_model: base
models:
  - {model: one, parameters: {weight: 0.5, gamma: 0.1}}
  - {model: two, parameters: {weight: 0.4, density: 0.6}}
parameters: {density: 0.8}
dtype: float32
""",
    "breadcrumbs_ties": """
merge_method: breadcrumbs_ties
base_model: base
models: [{model: one}, {model: two}, {model: three}]
parameters: {density: 0.7, weight: 0.6, gamma: 0.05, rescale: true, normalize: true}
dtype: float32
""",
    "sce": """
merge_method: sce
base_model: base
models: [{model: one}, {model: two}, {model: three}]
parameters: {select_topk: 0.4}
dtype: float32
""",
    "sce_all": """
merge_method: sce
base_model: base
models: [{model: one}, {model: two}]
dtype: float32
""",
    "ram": """
merge_method: ram
base_model: base
models: [{model: one}, {model: two}]
parameters: {epsilon: 0.04}
dtype: float32
""",
    "ramplus_tl": """
merge_method: ramplus_tl
base_model: base
models: [{model: one}, {model: two}, {model: three}]
parameters: {r: 0.4, alpha: 0.5, epsilon: [{filter: mlp, value: 0.05}, {value: 0.08}]}
dtype: float32
""",
    "model_stock": """
merge_method: model_stock
base_model: base
models: [{model: base}, {model: one}, {model: two}, {model: three}]
dtype: float32
""",
    "model_stock_rows": """
merge_method: model_stock
base_model: base
models: [{model: one}, {model: two}]
parameters: {filter_wise: true}
dtype: float32
""",
    "nearswap": """
merge_method: nearswap
base_model: base
models: [{model: one}]
parameters: {t: [0.01, 0.03]}
dtype: float32
""",
    "arcee_fusion": """
merge_method: arcee_fusion
base_model: base
models: [{model: one}]
dtype: float32
""",
    "passthrough_scaled": """
merge_method: passthrough
models:
  - model: base
    parameters:
      scale:
        - {filter: o_proj, value: 0.0}
        - {filter: down_proj, value: [0.5, 1.5]}
        - {value: 1.0}
dtype: float32
""",
    "stack": """
merge_method: passthrough
slices:
  - sources: [{model: base, layer_range: [0, 2]}]
  - sources: [{model: base, layer_range: [1, 3]}]
  - sources: [{model: base, layer_range: [0, 3]}]
    parameters: {scale: [{filter: o_proj, value: [0, 2]}, {filter: mlp, value: 0.5}, {value: 1}]}
dtype: float32
""",
    "stack_of_two": """
merge_method: passthrough
slices:
  - sources: [{model: base, layer_range: [0, 2]}]
  - sources: [{model: deep, layer_range: [1, 5]}]
  - sources: [{model: far, layer_range: [2, 3]}]
dtype: float32
""",
    "stack_turned": """
merge_method: passthrough
slices:
  - sources: [{model: base, layer_range: [2, 3]}]
  - sources: [{model: base, layer_range: [0, 2]}]
dtype: float32
""",
    "stack_shorter": """
merge_method: passthrough
slices:
  - sources: [{model: deep, layer_range: [0, 1]}]
  - sources: [{model: deep, layer_range: [2, 3]}]
  - sources: [{model: deep, layer_range: [4, 5]}]
dtype: float32
""",
    "merged_then_stacked": """
merge_method: linear
slices:
  - sources:
      - {model: base, layer_range: [0, 2], parameters: {weight: 0.3}}
      - {model: one, layer_range: [0, 2], parameters: {weight: 0.5}}
  - sources:
      - {model: base, layer_range: [1, 3], parameters: {weight: 0.3}}
      - {model: one, layer_range: [1, 3], parameters: {weight: 0.5}}
dtype: float32
""",
    "merged_then_turned": """
merge_method: linear
parameters: {weight: 1}
slices:
  - sources: [{model: base, layer_range: [2, 3]}, {model: one, layer_range: [2, 3]}]
  - sources: [{model: base, layer_range: [0, 2]}, {model: one, layer_range: [0, 2]}]
dtype: float32
""",
    "ends_differ": """
merge_method: linear
slices:
  - sources:
      - {model: base, layer_range: [0, 1], parameters: {weight: 0.3}}
      - {model: one, layer_range: [0, 1], parameters: {weight: 0.5}}
  - sources:
      - {model: base, layer_range: [1, 3], parameters: {weight: 0.9}}
      - {model: two, layer_range: [1, 3], parameters: {weight: [0.5, 0.1]}}
dtype: float32
""",
    "slice_base": """
merge_method: task_arithmetic
base_model: base
slices:
  - sources:
      - {model: one, layer_range: [0, 2], parameters: {weight: 0.5}}
      - {model: base, layer_range: [0, 2]}
      - {model: three, layer_range: [0, 2]}
  - base_model: one
    sources:
      - {model: base, layer_range: [2, 3], parameters: {weight: 0.2}}
      - {model: two, layer_range: [2, 3]}
      - {model: one, layer_range: [2, 3]}
parameters: {weight: 0.7, lambda: 0.9}
dtype: float32
""",
    "slices_of_others": """
merge_method: nuslerp
slices:
  - sources:
      - {model: base, layer_range: [0, 1], parameters: {weight: 0.3}}
      - {model: far, layer_range: [0, 1], parameters: {weight: 0.5}}
  - sources:
      - {model: far, layer_range: [1, 2], parameters: {weight: 0.9}}
      - {model: base, layer_range: [1, 2], parameters: {weight: 0.1}}
  - sources:
      - {model: one, layer_range: [2, 3], parameters: {weight: 0.2}}
      - {model: far, layer_range: [2, 3], parameters: {weight: 0.3}}
dtype: float32
""",
    "parts_taken_out_of_merges": """
merge_method: linear
slices:
  - sources:
      - {model: base, layer_range: [0, 2], parameters: {weight: 0.3}}
      - {model: deep, layer_range: [0, 2], parameters: {weight: 0.5}}
  - sources:
      - {model: deep, layer_range: [3, 5], parameters: {weight: [0.9, 2]}}
parameters: {normalize: false}
dtype: float32
""",
    "stack_of_tied": """
merge_method: passthrough
base_model: tied
slices:
  - sources: [{model: tied_one, layer_range: [0, 2]}]
  - sources: [{model: tied_one, layer_range: [1, 3]}]
dtype: float32
""",
    "untied_parent_filtered": """
merge_method: linear
base_model: tied
models: [{model: untied_one}]
parameters: {weight: [{filter: lm_head, value: [2, 3]}, {value: 1}], normalize: false}
dtype: float32
""",
    "filters_crossed": """
merge_method: linear
models:
  - model: base
    parameters: {weight: [{filter: self_attn, value: 0.3}, {filter: norm, value: [0.1, 0.9]}, {value: 0.5}]}
  - model: one
    parameters: {weight: [{filter: q_proj, value: 0.8}, {filter: mlp, value: 0.2}, {value: 0.7}]}
  - model: two
    parameters: {weight: {filter: down_proj, value: 0.4}}
parameters: {weight: 0.05}
dtype: float32
""",
    "flag_over_depth": """
merge_method: task_arithmetic
base_model: base
models: [{model: one}, {model: two}]
parameters: {weight: 0.7, normalize: [true, false]}
dtype: float32
""",
    "module_named": """
merge_method: slerp
base_model: base
modules:
  default:
    models: [{model: base}, {model: far}]
    parameters: {t: 0.3}
parameters: {t: 0.9}
dtype: float32
""",
    "tied": """
merge_method: linear
models: [{model: tied}, {model: tied_one}]
parameters: {weight: [{filter: lm_head, value: 9}, {filter: embed, value: 3}, {value: 1}]}
dtype: float32
""",
    "untied_parent": """
merge_method: slerp
base_model: tied
models: [{model: tied}, {model: untied_one}]
parameters: {t: 0.4}
dtype: float32
""",
    "tied_parent": """
merge_method: slerp
base_model: untied_one
models: [{model: tied}, {model: untied_one}]
parameters: {t: 0.4}
dtype: float32
""",
    "half": """
merge_method: linear
models: [{model: half}, {model: half_one}]
parameters: {weight: 0.3}
dtype: float32
out_dtype: bfloat16
""",
    "half_to_float": """
merge_method: slerp
base_model: half
models: [{model: half}, {model: half_one}]
parameters: {t: 0.3}
dtype: float32
""",
    "half_with_float": """
merge_method: linear
models: [{model: half}, {model: one}]
parameters: {weight: 0.5}
""",
    "stack_to_float": """
merge_method: passthrough
slices:
  - sources: [{model: half, layer_range: [0, 2]}]
  - sources: [{model: half_one, layer_range: [1, 3]}]
    parameters: {scale: 0.3}
dtype: float32
""",
    "stack_to_half": """
merge_method: passthrough
slices:
  - sources: [{model: base, layer_range: [0, 2]}]
  - sources: [{model: far, layer_range: [1, 3]}]
dtype: bfloat16
""",
}

IN_HALVES = (
    *("linear", "slerp_slices", "nuslerp", "nuslerp_base", "multislerp", "multislerp_base", "karcher"),
    *("task_arithmetic", "ties_default", "dare_ties_all", "della_all", "della_linear_all", "sce", "sce_all"),
    *("ram", "ramplus_tl", "model_stock", "model_stock_rows", "nearswap", "arcee_fusion"),
)
"""Cases that are also made of bfloat16 checkpoints; the rest trims, or does not compute."""
KEPT_OF_HALVES = KEPT[1:4]


def of_halves(name: str) -> str:
    """The case with 16 bits in and out, computed in 32 by mergekit as by us."""
    return CASES[name].replace("dtype: float32", "dtype: float32\nout_dtype: bfloat16")
