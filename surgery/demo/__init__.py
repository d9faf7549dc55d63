"""What ships for a first try: a small trained decoder and the text it was not trained on."""

from pathlib import Path

DECODER = Path(__file__).parent / "decoder"
"""Folder of the demonstration decoder: a transformers checkpoint of a few MB."""
