import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from surgery.errors import SurgeryError
from surgery.evaluate import Evaluator, Examples, text_files, token_windows
from surgery.evaluate.data.windows import windows_of


class Words:
    """Maps words to ids by first appearance, after an opening token 0 if asked."""

    def __init__(self, opening: bool = False) -> None:
        self.known: dict[str, int] = {}
        self.opening, self.bos_token_id = opening, 0

    def __call__(self, text: str) -> dict[str, list[int]]:
        ids = [self.known.setdefault(word, len(self.known) + 1) for word in text.split()]
        return {"input_ids": [0, *ids] if self.opening else ids}


def ids(examples: Examples) -> list[list[int]]:
    """The windows as lists."""
    return examples.inputs["input_ids"].tolist()


def test_text_files(tmp_path: Path) -> None:
    """Each file is cut by itself; what does not fill its last window is padded, and files are documents."""
    (tmp_path / "a.txt").write_text("one two three four five", encoding="utf-8")
    (tmp_path / "b.txt").write_text("six seven eight", encoding="utf-8")
    examples = text_files([tmp_path / "a.txt", str(tmp_path / "b.txt")], Words(), window=3)
    assert ids(examples) == [[1, 2, 3], [4, 5, 0], [6, 7, 8]]
    assert examples.inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0], [1, 1, 1]]
    assert examples.documents is not None and examples.documents.tolist() == [0, 0, 1]
    assert (examples.label, examples.own, examples.noun) == ("a.txt, b.txt", True, "window")


def test_a_token_alone_is_left_out(tmp_path: Path) -> None:
    """A window of one token predicts nothing."""
    (tmp_path / "a.txt").write_text("one two three four", encoding="utf-8")
    assert ids(text_files([tmp_path / "a.txt"], Words(), window=3)) == [[1, 2, 3]]


def test_opening_token(tmp_path: Path) -> None:
    """A token that the tokenizer opens texts with opens every window."""
    (tmp_path / "a.txt").write_text("one two three four five", encoding="utf-8")
    examples = text_files([tmp_path / "a.txt"], Words(opening=True), window=3)
    assert ids(examples) == [[0, 1, 2], [0, 3, 4], [0, 5, 0]]


def test_stride() -> None:
    """Windows overlap; only what no window before them held counts, the last one's rest included."""
    examples = windows_of([[1, 2, 3, 4, 5, 6, 7]], name="a", own=True, window=4, stride=2)
    assert ids(examples) == [[1, 2, 3, 4], [3, 4, 5, 6], [5, 6, 7, 0]]
    assert examples.counted is not None
    assert examples.counted.long().tolist() == [[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 0]]


@pytest.mark.parametrize("stride", [0, 5])
def test_stride_out_of_range(stride: int) -> None:
    """A stride of none would never end, one beyond the window would leave tokens out."""
    with pytest.raises(SurgeryError, match=rf"a: .*left out.*got a stride of {stride}, expected 1 to 4"):
        windows_of([[1, 2, 3, 4, 5, 6]], name="a", own=True, window=4, stride=stride)


def nats_one_by_one(model: Any, tokens: list[int], window: int, stride: int) -> list[float]:
    """The loss of each token but the first, each by a forward of its own over the context its window has."""
    found, start = [], 0
    for place in range(1, len(tokens)):
        while place >= start + window:
            start += stride
        with torch.no_grad():
            logits = model(torch.tensor([tokens[start:place]])).logits[0, -1]
        found.append(F.cross_entropy(logits, torch.tensor(tokens[place])).item())
    return found


@pytest.mark.parametrize("stride", [1, 3, 5, 9])
def test_strided_perplexity_is_the_one_by_hand(model: nn.Module, stride: int) -> None:
    """Every token but a text's first is predicted once, with the context that its window gives."""
    texts = [
        torch.randint(256, (n,), generator=torch.Generator().manual_seed(n)).tolist() for n in (33, 8, 21)
    ]
    losses = [nats for text in texts for nats in nats_one_by_one(model, text, 10, stride)]
    examples = windows_of(texts, name="a", own=True, window=10, stride=stride)
    report = Evaluator(model, examples=examples).evaluate(model, math.inf)
    assert pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-5) == report["perplexity"].after


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side(model: nn.Module, family: str, side: str) -> None:
    """Windows padded before or behind their text have the perplexity of the bare texts, one by one."""
    if family == "gpt2":
        model = gpt2()
    generator = torch.Generator().manual_seed(1)
    texts = [torch.randint(256, (n,), generator=generator) for n in (5, 12, 9)]
    nats = 0.0
    for text in texts:
        with torch.no_grad():
            logits = model(text.unsqueeze(0)).logits[0, :-1]  # type: ignore[operator]
        nats += F.cross_entropy(logits, text[1:], reduction="sum").item()

    def padded(values: Tensor, by: int) -> Tensor:
        room = 12 - len(values)
        return F.pad(values, (room, 0) if side == "left" else (0, room), value=by)

    windows = torch.stack([padded(text, 7) for text in texts])
    mask = torch.stack([padded(torch.ones_like(text), 0) for text in texts])
    report = Evaluator(model, examples=token_windows(windows, mask)).evaluate(model)
    assert pytest.approx(math.exp(nats / 23), rel=1e-5) == report["perplexity"].after
    assert report.tokens == 26


def gpt2() -> nn.Module:
    """A random GPT-2, whose positions are learned: padding before the text must not shift them."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=256, n_positions=32, n_embd=32, n_layer=2, n_head=2, initializer_range=0.2)
    ).eval()


@pytest.mark.parametrize("text", ["", "one"])
def test_empty_text(tmp_path: Path, text: str) -> None:
    """A text without two tokens is refused: there is nothing to predict."""
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    with pytest.raises(SurgeryError, match=r"a\.txt: there is nothing to evaluate on; got [01] tokens"):
        text_files([tmp_path / "a.txt"], Words())


def test_text_shorter_than_a_window(tmp_path: Path) -> None:
    """Is one padded window, of which only the text counts."""
    (tmp_path / "a.txt").write_text("one two three", encoding="utf-8")
    examples = text_files([tmp_path / "a.txt"], Words(), window=5)
    assert ids(examples) == [[1, 2, 3, 0, 0]]
    assert examples.inputs["attention_mask"].tolist() == [[1, 1, 1, 0, 0]]


def test_no_files_and_no_tokenizer(tmp_path: Path) -> None:
    """An empty list of files is refused, and so is text for a model without tokenizer."""
    with pytest.raises(SurgeryError, match="no files: there is nothing to evaluate on"):
        text_files([], Words())
    (tmp_path / "a.txt").write_text("one two three", encoding="utf-8")
    with pytest.raises(SurgeryError, match=r"a\.txt: there is no tokenizer to read text with"):
        text_files([tmp_path / "a.txt"], None)


def test_unreadable_files(tmp_path: Path) -> None:
    """A missing file and one that is not UTF-8 are refused by name."""
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(SurgeryError, match=r"latin: the file cannot be read: it is not UTF-8 text"):
        text_files([tmp_path / "latin"], Words())
    with pytest.raises(SurgeryError, match=r"gone: the file cannot be read: No such file"):
        text_files([tmp_path / "gone"], Words())


def test_token_windows_of_any_integer() -> None:
    """Integer ids and a mask of zeros and ones become int64."""
    examples = token_windows(torch.tensor([[1, 2, 0]], dtype=torch.int32), torch.tensor([[1, 1, 0]]))
    assert {torch.int64} == {value.dtype for value in examples.inputs.values()}
    assert examples.batch(0, 1).real is not None


@pytest.mark.parametrize(
    ("windows", "mask", "problem"),
    [
        (torch.zeros(2, 3), None, "token ids are integers"),
        (torch.zeros(3, dtype=torch.int64), None, "windows are token ids"),
        (torch.zeros(0, 3, dtype=torch.int64), None, "there is nothing to evaluate on"),
        (torch.tensor([[1, -1]]), None, "token ids are never negative; got -1"),
        (torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 2), "the mask does not fit the windows"),
        (torch.zeros(2, 3, dtype=torch.int64), torch.tensor([[1, 0, 1], [0, 0, 0]]), "nothing but padding"),
    ],
)
def test_refused_tensors(windows: Tensor, mask: Tensor | None, problem: str) -> None:
    """Tensors that cannot be token windows are refused with what is wrong about them."""
    with pytest.raises(SurgeryError, match=problem):
        token_windows(windows, mask)
