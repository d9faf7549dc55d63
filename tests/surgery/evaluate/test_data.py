from pathlib import Path

import pytest
import torch
from torch import nn

from surgery.demo.text import topics
from surgery.errors import SurgeryError
from surgery.evaluate import Examples, default_examples, demo_text, text_files, token_windows


class Words:
    """Maps words to ids by first appearance, after an opening token 0 if asked."""

    def __init__(self, opening: bool = False) -> None:
        self.known: dict[str, int] = {}
        self.opening, self.bos_token_id = opening, 0

    def __call__(self, text: str) -> dict[str, list[int]]:
        ids = [self.known.setdefault(word, len(self.known) + 1) for word in text.split()]
        return {"input_ids": [0, *ids] if self.opening else ids}


class Configured(nn.Module):
    """A module with a config of the given fields and nothing else."""

    def __init__(self, **fields: int) -> None:
        super().__init__()
        self.config = type("Config", (), fields)()


def test_demo_bytes() -> None:
    """Without a tokenizer the windows are the held-out manual's bytes, cut without overlap."""
    examples = demo_text()
    start = b"\0".join(text.encode() for text in topics("held-out"))[:512]
    assert start == bytes(examples.windows[:2].flatten().tolist())
    assert (examples.windows.shape[1], examples.mask) == (256, None)
    assert examples.label == "Python's manual, held out: not your data"


def test_order_is_fixed() -> None:
    """Every window is visited once, in an order that is the same each time and not that of the text."""
    first, second = demo_text(), demo_text()
    assert first.order.tolist() == second.order.tolist() != list(range(len(first)))
    assert list(range(len(first))) == sorted(first.order.tolist())
    assert torch.equal(first.windows[first.order[3:5]], first.batch(3, 5).ids)


def test_order_hangs_on_the_seed() -> None:
    """Another seed gives another order."""
    windows = torch.arange(80).view(40, 2)
    assert Examples("a", True, windows).order.tolist() != Examples("a", True, windows, seed=1).order.tolist()


def test_text_files(tmp_path: Path) -> None:
    """Files are read one after another and the tokens that do not fill a window are dropped."""
    (tmp_path / "a.txt").write_text("one two three", encoding="utf-8")
    (tmp_path / "b.txt").write_text("four five", encoding="utf-8")
    examples = text_files([tmp_path / "a.txt", str(tmp_path / "b.txt")], Words(), window=2)
    assert examples.windows.tolist() == [[1, 2], [3, 4]]
    assert (examples.label, examples.own) == ("a.txt, b.txt", True)


def test_opening_token(tmp_path: Path) -> None:
    """A token that the tokenizer opens texts with opens every window."""
    (tmp_path / "a.txt").write_text("one two three four", encoding="utf-8")
    examples = text_files([tmp_path / "a.txt"], Words(opening=True), window=3)
    assert examples.windows.tolist() == [[0, 1, 2], [0, 3, 4]]


def test_short_text(tmp_path: Path) -> None:
    """A text shorter than a window gives one padded window with a mask."""
    (tmp_path / "a.txt").write_text("one two three", encoding="utf-8")
    examples = text_files([tmp_path / "a.txt"], Words(), window=5)
    assert examples.windows.tolist() == [[1, 2, 3, 0, 0]]
    assert examples.mask is not None
    assert examples.mask.tolist() == [[True, True, True, False, False]]


@pytest.mark.parametrize("text", ["", "one"])
def test_empty_text(tmp_path: Path, text: str) -> None:
    """A text without two tokens is refused: there is nothing to predict."""
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    with pytest.raises(SurgeryError, match=r"a\.txt: there is nothing to evaluate on; got 0 windows"):
        text_files([tmp_path / "a.txt"], Words())


def test_no_files() -> None:
    """An empty list of files is refused."""
    with pytest.raises(SurgeryError, match="no files: there is nothing to evaluate on"):
        text_files([], Words())


def test_unreadable_files(tmp_path: Path) -> None:
    """A missing file and one that is not UTF-8 are refused by name."""
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(SurgeryError, match=r"latin: the file cannot be read: it is not UTF-8 text"):
        text_files([tmp_path / "latin"], Words())
    with pytest.raises(SurgeryError, match=r"gone: the file cannot be read: No such file"):
        text_files([tmp_path / "gone"], Words())


def test_token_windows_of_any_integer() -> None:
    """Integer ids and a mask of zeros and ones become int64 and bool."""
    examples = token_windows(torch.tensor([[1, 2, 0]], dtype=torch.int32), torch.tensor([[1, 1, 0]]))
    assert examples.mask is not None
    assert (torch.int64, torch.bool) == (examples.windows.dtype, examples.mask.dtype)


@pytest.mark.parametrize(
    ("windows", "mask", "problem"),
    [
        (torch.zeros(2, 3), None, "token ids are integers"),
        (torch.zeros(3, dtype=torch.int64), None, "windows are token ids"),
        (torch.zeros(0, 3, dtype=torch.int64), None, "there is nothing to evaluate on"),
        (torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 2), "the mask does not fit the windows"),
        (torch.zeros(1, 3, dtype=torch.int64), torch.tensor([[1, 0, 1]]), "no two real tokens side by side"),
    ],
)
def test_refused_tensors(windows: torch.Tensor, mask: torch.Tensor | None, problem: str) -> None:
    """Tensors that cannot be token windows are refused with what is wrong about them."""
    with pytest.raises(SurgeryError, match=problem):
        token_windows(windows, mask)


def test_default_for_bytes() -> None:
    """A model of 256 tokens without tokenizer gets the manual's bytes in windows it has positions for."""
    examples = default_examples(Configured(vocab_size=256, max_position_embeddings=64))
    assert (examples.name, examples.windows.shape[1]) == ("Python's manual, held out", 64)


def test_default_for_unknown_tokens() -> None:
    """Another vocabulary without tokenizer gets random tokens below it, labelled as what they are."""
    examples = default_examples(Configured(vocab_size=1000))
    assert examples.label == "random tokens: shows that the model runs, not how well"
    assert (examples.noise, 990 < int(examples.windows.max()) < 1000) == (True, True)


def test_default_without_vocabulary() -> None:
    """A module that does not say which tokens it takes is refused with the way out."""
    with pytest.raises(SurgeryError, match=r"which tokens Linear takes\. Try: .*token_windows"):
        default_examples(nn.Linear(2, 2))


def test_foreign_tokenizer() -> None:
    """A tokenizer with tokens the model does not have is refused."""
    with pytest.raises(SurgeryError, match="the tokenizer does not belong to this model; got token"):
        default_examples(Configured(vocab_size=300), Words())
