"""What a run must know of a predictor trained before it: which file, and that no training prompt is replayed."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import pandas as pd

from policies.predictor import weights
from traces.checksum import sha256
from traces.split import normalized


def keys(texts: Iterable[str]) -> list[str]:
    """A short hash of each prompt, which all its copies share: what weights keep of the prompts behind them."""
    return sorted({blake2b(normalized(text).encode("utf-8"), digest_size=5).hexdigest() for text in texts})


def checked(file: str, replay: pd.DataFrame) -> str:
    """The sha256 of the weights in `file`; ValueError where `replay` has prompts on which they were trained."""
    trained = weights.provenance(file)["training_keys"]
    texts = replay["prompt_text"].dropna() if "prompt_text" in replay else ()
    if seen := set(trained) & set(keys(texts)):
        raise ValueError(f"{file} was trained on {len(seen)} of the prompts that this trace replays")
    return sha256(weights.find(file))
