"""Operators that real kernels refuse on tensors of several dtypes, though their fake ones do not.

Fake kernels reckon with shapes. A model of which a part was cast would trace, and fail when it is run.
"""

from typing import Any

import torch

from graph.tracing.fakes import tensors_in

_aten = torch.ops.aten
_ONE_DTYPE = frozenset(
    getattr(_aten, name)
    for name in (
        *("mm", "addmm", "_addmm_activation", "mv", "addmv", "linear", "convolution", "_convolution"),
        *("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only", "index_put", "index_put_"),
        *("index_add", "index_add_", "_transformer_encoder_layer_fwd", "_native_multi_head_attention"),
        *("mkldnn_rnn_layer", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell"),
    )
    if hasattr(_aten, name)
)
# Their parameters and statistics may be float32 where the input has 16 bits, and are of one dtype.
_NORMS = frozenset(
    getattr(_aten, name)
    for name in (
        *("native_layer_norm", "native_group_norm", "native_batch_norm", "cudnn_batch_norm", "batch_norm"),
        *("_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "_batch_norm_impl_index"),
        *("_batch_norm_with_update", "_batch_norm_no_update"),
    )
    if hasattr(_aten, name)
)
_SHORT = (torch.float16, torch.bfloat16)


def refuse_mixed(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """RuntimeError, as on real tensors, where `operator` does not take these dtypes together."""
    packet = operator.overloadpacket
    norm = packet in _NORMS
    if not norm and packet not in _ONE_DTYPE:
        return
    dtypes = [tensor.dtype for tensor in tensors_in((args, kwargs)) if tensor.is_floating_point()]
    if len(set(dtypes)) < 2:
        return
    if norm and dtypes[0] in _SHORT and set(dtypes[1:]) == {torch.float32}:
        return
    named = " and ".join(dict.fromkeys(str(dtype).removeprefix("torch.") for dtype in dtypes))
    raise RuntimeError(f"{packet.__name__} takes no tensors of {named} together")
