"""What is evaluated on, and where it comes from."""

from surgery.evaluate.data.dataset_folders import dataset_folder
from surgery.evaluate.data.default import default_examples, demo_text, noise_like, random_tokens
from surgery.evaluate.data.examples import Batch, Examples
from surgery.evaluate.data.given import tensors
from surgery.evaluate.data.images import image_folder
from surgery.evaluate.data.path import examples_at
from surgery.evaluate.data.windows import text_files, token_windows

__all__ = [
    "Batch",
    "Examples",
    "dataset_folder",
    "default_examples",
    "demo_text",
    "examples_at",
    "image_folder",
    "noise_like",
    "random_tokens",
    "tensors",
    "text_files",
    "token_windows",
]
