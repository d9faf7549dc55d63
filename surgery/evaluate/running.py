"""A model on a shell of its own, answering batches: the one place where models are called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn

from graph.paths import is_among
from surgery.devices import is_out_of_memory
from surgery.errors import SurgeryError
from surgery.evaluate.answer import Answer, Wants
from surgery.evaluate.data.examples import MASK, Batch
from surgery.evaluate.device import autocast, is_mixed
from surgery.evaluate.pooling import embedding_in, first_tensor
from surgery.evaluate.prompts import continued
from surgery.evaluate.tape import Block, Place, Tape
from surgery.stopping import Stopped, checked

KEEP = "logits_to_keep"


class Runner:
    """Runs a placed `model` (see Placer) on batches; `whose` names it in errors."""

    def __init__(
        self, model: nn.Module, device: torch.device, *, exact: bool, whose: str, tape: Tape | None = None
    ) -> None:
        self.model, self.device, self.exact, self.whose = model, device, exact, whose
        self.tape: Tape | None = None
        self.blocks: list[Block] = []
        if tape is not None:
            self.join(tape)
        self.mixed = is_mixed(device, model, exact=exact)
        parameters = inspect.signature(model.forward).parameters.values()
        self._names = {item.name for item in parameters}
        places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        named = any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters)
        self._by_name = named and not any(item.kind in places for item in parameters)
        coupled = bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))
        self._has_decoder = coupled and "decoder_input_ids" in self._names
        prefix = getattr(model, "base_model_prefix", "")
        self._base = prefix if isinstance(prefix, str) and prefix in model._modules else None

    @property
    def is_single(self) -> bool:
        """Whether it computes in float32."""
        kinds = {parameter.dtype for parameter in self.model.parameters() if parameter.is_floating_point()}
        return not self.mixed and kinds <= {torch.float32, torch.float64}

    @property
    def body(self) -> str | None:
        """The path of the model without its head, where its class says; what makes logits is not in it."""
        return self._base

    def takes(self, name: str) -> bool:
        """Whether the forward has an argument called `name`."""
        return name in self._names or self._by_name

    def join(self, tape: Tape, places: Mapping[str, nn.Module] | None = None) -> None:
        """From now on answers go over `tape`, at the modules at `places` or at its usual ones."""
        self.tape, self.blocks = tape, tape.thread(self.model, places)

    def release(self) -> None:
        """Lets go of the tape, which holds the model and is held by it."""
        if self.tape is not None:
            self.tape.release(self.blocks)

    def answer(self, batch: Batch, place: Place | None, wants: Wants) -> Answer:
        """What the model gives on a batch on the device, over the tape if it has a `place` in the examples.

        The body of a model runs once; logits are made where they are asked for, by the model's own root, so
        that its scaling stays its own. Raises SurgeryError when the model fails; Stopped and out-of-memory
        pass through.
        """
        with self._guarded():
            tokens = continued(self.model, batch, wants.generation) if wants.generation else None
            if not wants.forward:
                return Answer(tokens=tokens)
            positional, named = self._arguments(batch)
            first = torch.zeros(1, dtype=torch.int64, device=self.device)
            sliceable = KEEP in self._names and self._base is not None and batch.ids is not None
            if self._hears_inside(wants):
                place = None  # a block that is replayed calls nothing inside it
            with self._heard(dict(wants.hidden)) as heard, self._over_tape(place):
                output = self.model(*positional, **named, **({KEEP: first} if sliceable else {}))
            logits = _logits_in(output)
            body = heard.get(_BODY, [])
            sliced = sliceable and len(body) == 1 and logits is not None and logits.shape[1:2] == (1,)
            if sliceable and not sliced:  # it has places left out, and would not say which
                with self._over_tape(place):
                    output = self.model(*positional, **named)
                logits = _logits_in(output)
        hidden = _states(wants, heard, len(batch))
        pooled = embedding_in(output, body[0] if body else None, batch) if wants.embedding else None
        if logits is None or not wants.logits:
            return Answer(hidden=hidden, embedding=pooled, tokens=tokens)
        if sliced and batch.ids is not None:
            shape = (batch.ids.shape[1], logits.shape[-1])
            at: Callable[[Tensor], Tensor] = lambda places: self._root(body[0], positional, named, places)  # noqa: E731
            return Answer(shape, at, hidden, pooled, tokens, per_position=True, sliced=True)
        if logits.dim() not in (2, 3) or len(logits) != len(batch):
            return Answer(hidden=hidden, embedding=pooled, tokens=tokens)
        per_position = logits.dim() == 3
        whole = logits if per_position else logits.unsqueeze(1)
        shape = (whole.shape[1], whole.shape[2])
        return Answer(shape, lambda places: whole[:, places].float(), hidden, pooled, tokens, per_position)

    @property
    def has_cache(self) -> bool:
        """Whether the model goes on from a cache of what it has read."""
        cached = {"past_key_values", "use_cache"} <= self._names
        return cached and not self._has_decoder and _generates(self.model)

    def read_on(self, ids: Tensor, cache: Any) -> tuple[Tensor | None, Any]:
        """Logits (vocabulary,) of what follows `ids` (1, n), read after `cache`; and the cache after them.

        None for logits or a cache that the model does not give so.
        """
        with self._guarded():
            output = self.model(input_ids=ids, past_key_values=cache, use_cache=True)
        logits = _logits_in(output)
        kept = getattr(output, "past_key_values", None)
        return None if logits is None or logits.dim() != 3 else logits[0, -1], kept

    def passed(self, batch: Batch, *, whole: bool) -> Tensor | None:
        """Logits of one pass as the model gives them, None without, for whoever hooks it or differentiates.

        It is called just once. Unless `whole`, a model that can makes them of one position alone.
        """
        with self._guarded():
            positional, named = self._arguments(batch)
            if not whole and KEEP in self._names and batch.ids is not None:
                named[KEEP] = 1
            return _logits_in(self.model(*positional, **named))

    def given(self, function: Callable[[nn.Module, Batch], Any], batch: Batch) -> Any:
        """What a function of the user's gives on the model and a batch."""
        with self._guarded():
            return function(self.model, batch)

    # Inside -----------------------------------------------------------------------------------

    def _hears_inside(self, wants: Wants) -> bool:
        taped = {block.path for block in self.blocks}
        return any(path not in taped and is_among(path, taped) for _, path in wants.hidden)

    def _over_tape(self, place: Place | None) -> AbstractContextManager[None]:
        return nullcontext() if self.tape is None or place is None else self.tape.over(place)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            with autocast(self.device, self.model, exact=self.exact):
                yield
        except (Stopped, SurgeryError):
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            text = f"{type(error).__name__}: {error}".strip()
            raise SurgeryError(f"{self.whose} cannot run on these examples: {text}") from error

    def _arguments(self, batch: Batch) -> tuple[list[Tensor], dict[str, Any]]:
        """The inputs by position and by name; a mask that the model does not take is left out."""
        positional: list[Tensor] = []
        named: dict[str, Any] = {}
        for name, value in batch.inputs.items():
            if self.takes(name):
                named[name] = value
            elif name != MASK:
                positional.append(value)
        if "use_cache" in self._names:
            named["use_cache"] = False
        if batch.ids is not None and self._has_decoder and _generates(self.model):
            named.setdefault("decoder_input_ids", batch.ids)  # it must be shown something
        mask = batch.inputs.get(MASK)
        if mask is not None and "position_ids" in self._names and _counts_from_the_left(self.model, mask):
            named.setdefault("position_ids", (mask.cumsum(1) - 1).clamp_min(0))
        return positional, named

    @contextmanager
    def _heard(self, paths: Mapping[str, str]) -> Iterator[dict[str, list[Any]]]:
        """Within, what the modules at `paths` give is noted by name, call by call; the body's too."""
        heard: dict[str, list[Any]] = {name: [] for name in paths}
        modules = {name: self.model.get_submodule(path) for name, path in paths.items()}
        if self._base is not None:
            heard[_BODY] = []
            modules[_BODY] = self.model.get_submodule(self._base)
        here = get_ident()

        def note(calls: list[Any], output: Any) -> None:
            if get_ident() == here:  # other threads may be running it too
                calls.append(output)

        handles = [
            module.register_forward_hook(lambda _, __, output, calls=heard[name]: note(calls, output))
            for name, module in modules.items()
        ]
        try:
            yield heard
        finally:
            for handle in handles:
                handle.remove()

    def _root(
        self, output: Any, positional: list[Tensor], named: Mapping[str, Any], places: Tensor
    ) -> Tensor:
        """Logits (examples, places, vocabulary) float32 that the root makes of the body's output."""
        assert self._base is not None
        modules = self.model._modules
        body = modules[self._base]
        assert body is not None
        modules[self._base] = _Given(body, output)
        try:
            with self._guarded():
                logits = _logits_in(self.model(*positional, **named, **{KEEP: places}))
        finally:
            modules[self._base] = body
        assert logits is not None and logits.shape[1] == len(places)
        return logits.float()

    def interruptible(self, check: Callable[[], None]) -> AbstractContextManager[None]:
        """Within, `check` is called before each block, so that a slow forward can be stopped."""
        return checked(self.model, check)


_BODY = ""
"""The name under which the output of a model's body is noted."""


class _Given(nn.Module):
    """Stands where a model's body was, and gives what that gave; otherwise it is the body."""

    def __init__(self, body: nn.Module, output: Any) -> None:
        super().__init__()
        self.__dict__.update(_body=body, _output=output)

    def forward(self, *_: Any, **__: Any) -> Any:
        return self.__dict__["_output"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_body"], name)


def _logits_in(output: Any) -> Tensor | None:
    if isinstance(output, Mapping):
        output = output.get("logits")
    elif isinstance(output, tuple | list) and output:
        output = output[0]
    else:
        output = getattr(output, "logits", output)
    return output if isinstance(output, Tensor) and output.is_floating_point() else None


def _states(wants: Wants, heard: Mapping[str, list[Any]], examples: int) -> dict[str, Tensor]:
    """What each module gave that was called once and gave hidden states (examples, …)."""
    found = {name: first_tensor(heard[name][0]) for name, _ in wants.hidden if len(heard[name]) == 1}
    return {
        name: states
        for name, states in found.items()
        if states is not None and states.dim() > 1 and len(states) == examples and states.is_floating_point()
    }


def _counts_from_the_left(model: nn.Module, mask: Tensor) -> bool:
    """Whether positions must be said: windows are padded before their text, and the model generates."""
    return _generates(model) and not bool(mask[:, 0].all())


def _generates(model: nn.Module) -> bool:
    can = getattr(model, "can_generate", None)
    return bool(can and can())
