"""Text encoders, and encoders with decoders that attend to them."""

import torch
from torch import nn

from tests.zoo.building import VOCABULARY, Inputs, built, ids

_BERT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 16,
}


def bert() -> tuple[nn.Module, Inputs]:
    """Masked words: norms after the residuals, three embeddings summed, a padding mask, a tied head."""
    model = built("BertConfig", "BertForMaskedLM", **_BERT)
    mask = torch.ones(2, 8, dtype=torch.int64)
    mask[1, 6:] = 0
    return model, {"input_ids": ids(), "attention_mask": mask}


def roberta() -> tuple[nn.Module, Inputs]:
    """A classifier of sequences whose positions are counted from the ids, two rows of them apart."""
    model = built("RobertaConfig", "RobertaForSequenceClassification", num_labels=3, **_BERT)
    return model, {"input_ids": ids()}


def t5() -> tuple[nn.Module, Inputs]:
    """An encoder and a decoder with relative positions made in the first block; embeddings shared by all."""
    model = built(
        "T5Config",
        "T5ForConditionalGeneration",
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=3,
        num_decoder_layers=3,
        num_heads=4,
        decoder_start_token_id=0,
    )
    return model, {"input_ids": ids(), "decoder_input_ids": ids(length=5)}


def bart() -> tuple[nn.Module, Inputs]:
    """An encoder and a decoder with learned positions; embeddings and head shared."""
    model = built(
        "BartConfig",
        "BartForConditionalGeneration",
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=16,
    )
    return model, {"input_ids": ids(), "decoder_input_ids": ids(length=5)}
