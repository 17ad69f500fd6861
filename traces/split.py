"""Which rows train a predictor and which are replayed: decided by a row's own key, never by its place in a file."""

from __future__ import annotations

from hashlib import blake2b


def in_training(key: str, share: float) -> bool:
    """Whether the row called `key` is of the training part, which holds about `share` of all keys."""
    digest = blake2b(key.encode("utf-8"), digest_size=8, person=b"tokenyard-split").digest()
    return int.from_bytes(digest, "big") < share * 2.0**64


def normalized(text: str) -> str:
    """The key of a prompt: its text in lower case with single spaces, so that all but equal prompts share a part."""
    return " ".join(text.lower().split())


def check_share(share: float) -> None:
    """ValueError unless both parts can hold rows."""
    if not 0 < share < 1:
        raise ValueError(f"training_share must be between 0 and 1, got {share}")
