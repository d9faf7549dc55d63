"""Trains the demonstration decoder and writes it as an ordinary transformers folder.

    python -m surgery.demo.train_decoder            # about half an hour on two cores

A Llama of ten blocks over bytes, with grouped-query attention and a tied embedding. It is small,
but trained: every block carries something, so that a cut costs something one can measure.
"""

import argparse
import math
import time
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from surgery.demo import DECODER
from surgery.demo.text import Part, topics

WINDOW = 256
BATCH = 24
STEPS = 900
WARMUP = 40
LEARNING_RATE = 3e-3
SEED = 0


def config() -> LlamaConfig:
    """Ten blocks of width 128; 1.5 M parameters."""
    return LlamaConfig(
        vocab_size=256,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=10,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        dtype="float32",
    )


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer whose token ids are the bytes of the text's UTF-8; NUL pads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    vocabulary = {symbol: byte for byte, symbol in bytes_to_unicode().items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=bytes_to_unicode()[0])


def stream(part: Part) -> torch.Tensor:
    """All bytes of one part of the corpus, topics separated by NUL; (bytes,) int64."""
    return torch.frombuffer(
        bytearray(b"\0".join(text.encode() for text in topics(part))),
        dtype=torch.uint8,
    ).long()


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    if step < WARMUP:
        return LEARNING_RATE * (step + 1) / WARMUP
    done = (step - WARMUP) / max(1, steps - WARMUP)
    cosine: float = 0.5 * (1 + math.cos(math.pi * done))
    return LEARNING_RATE * (0.05 + 0.95 * cosine)


@torch.no_grad()
def held_out_nats(model: LlamaForCausalLM) -> float:
    """Mean cross-entropy in nats per byte over the held-out text in windows of WINDOW bytes."""
    data = stream("held-out")
    windows = data[: len(data) // WINDOW * WINDOW].view(-1, WINDOW)
    losses = [model(input_ids=part, labels=part).loss.item() * len(part) for part in windows.split(32)]
    total: float = sum(losses)
    return total / len(windows)


def train(steps: int) -> LlamaForCausalLM:
    """A decoder trained for `steps` batches of BATCH windows, drawn with SEED."""
    torch.manual_seed(SEED)
    model = LlamaForCausalLM(config())
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    data, generator, began = stream("train"), torch.Generator().manual_seed(SEED), time.time()
    for step in range(steps):
        starts = torch.randint(len(data) - WINDOW, (BATCH,), generator=generator)
        batch = torch.stack([data[start : start + WINDOW] for start in starts.tolist()])
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps)
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        if step % 50 == 49:
            print(f"step {step + 1}: {loss.item():.3f} nats, {time.time() - began:.0f} s", flush=True)
    return model.eval()


def main() -> None:
    """Trains, writes the folder, prints the held-out perplexity."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DECODER)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    model = train(arguments.steps)
    model.save_pretrained(arguments.out)
    byte_tokenizer().save_pretrained(arguments.out)
    nats = held_out_nats(model)
    print(f"held out: {nats:.3f} nats per byte, perplexity {math.exp(nats):.2f}")


if __name__ == "__main__":
    main()
