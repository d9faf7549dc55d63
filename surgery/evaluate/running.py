"""A model on a shell of its own, giving logits for batches."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from surgery.errors import SurgeryError
from surgery.evaluate.data import Batch
from surgery.evaluate.device import autocast, is_mixed, is_out_of_memory
from surgery.evaluate.stopping import Stopped


class Runner:
    """Runs a placed `model` (see Placer) on batches; `whose` names it in errors."""

    def __init__(self, model: nn.Module, device: torch.device, *, exact: bool, whose: str) -> None:
        self.model, self.device, self.exact, self.whose = model, device, exact, whose
        self.mixed = is_mixed(device, model, exact=exact)
        self._names = set(inspect.signature(model.forward).parameters)

    def logits(self, batch: Batch) -> Tensor:
        """Logits (examples, window, vocabulary) of a batch on the device.

        Raises SurgeryError when the model fails or gives something else; Stopped and
        out-of-memory pass through.
        """
        try:
            with autocast(self.device, self.model, exact=self.exact):
                output = self._call(batch)
        except (Stopped, SurgeryError):
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            text = f"{type(error).__name__}: {error}".strip()
            raise SurgeryError(f"{self.whose} cannot run on these examples: {text}") from error
        return self._checked(_logits_in(output), batch)

    def _call(self, batch: Batch) -> Any:
        words: dict[str, Any] = {}
        if "use_cache" in self._names:
            words["use_cache"] = False
        if batch.mask is not None and "attention_mask" in self._names:
            words["attention_mask"] = batch.mask.long()
        if "input_ids" in self._names:
            return self.model(input_ids=batch.ids, **words)
        return self.model(batch.ids, **words)

    def _checked(self, logits: object, batch: Batch) -> Tensor:
        if isinstance(logits, Tensor) and logits.dim() == 3 and logits.shape[:2] == batch.ids.shape:
            return logits
        examples, window = batch.ids.shape
        raise SurgeryError(
            f"{self.whose} gives no logits per token",
            got=f"a tensor {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__,
            expected=f"({examples}, {window}, vocabulary)",
            hint="open the model with its language-model head",
        )

    @contextmanager
    def interruptible(self, check: Callable[[], None]) -> Iterator[None]:
        """Within, `check` is called before each block, so that a slow forward can be stopped."""
        handles = [block.register_forward_pre_hook(lambda *_: check()) for block in _blocks(self.model)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def looks_ahead(runner: Runner, batch: Batch) -> bool:
    """Whether predictions in the first half of a window change with the tokens of its second half.

    If so the model sees what it is to predict (BERT), and perplexity means nothing.
    """
    one = Batch(batch.ids[:1], None if batch.mask is None else batch.mask[:1])
    real = one.real[0].nonzero()[:, 0]
    half = int(real[len(real) // 2])
    other = one.ids.clone()
    other[:, half:] = (other[:, half:] + 1) % (int(one.ids.max()) + 1)
    as_is = runner.logits(one)
    differs = (as_is - runner.logits(Batch(other, one.mask)))[:, :half].float().norm()
    tolerance = 1e-3 if as_is.dtype == torch.float32 else 2e-2
    return bool(differs > tolerance * as_is[:, :half].float().norm())


def _logits_in(output: Any) -> object:
    if isinstance(output, dict) and "logits" in output:
        return output["logits"]
    if isinstance(output, tuple | list) and output:
        return output[0]
    return getattr(output, "logits", output)


def _blocks(model: nn.Module) -> list[nn.Module]:
    """The children of every ModuleList and Sequential, each once."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList | nn.Sequential)]
    return list(dict.fromkeys(child for module in lists for child in module.children()))
