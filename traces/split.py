"""Which rows train a predictor and which are replayed: decided by a row's own key, never by its place in a file."""

from __future__ import annotations

from hashlib import blake2b

from traces.schema import TraceError


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


def check_kept(share: float | None) -> None:
    """ValueError for a share of rows kept for training that leaves none to replay; None is 0."""
    if share is not None and not 0 <= share < 1:
        raise ValueError(f"training_share must be from 0 to below 1, got {share}")


def none_kept(source: str, setting: str = "trace.training_share") -> TraceError:
    """What `training` raises where no rows are kept back: `setting` keeps some."""
    return TraceError(
        f"{source}: no rows are kept for training, which something here needs: {setting}=0.2 keeps a fifth"
    )


def training_rows(rows: int, share: float | None, source: str) -> int:
    """How many of the first `rows` are kept for training: `share` of them, and at least one unless that is 0 or None.

    TraceError where that leaves nothing to replay.
    """
    kept = max(1, int(rows * share)) if share else 0
    if kept >= rows:
        raise TraceError(
            f"{source}: its {rows} row{'s' if rows > 1 else ''} and trace.training_share={share} leave nothing to "
            "replay: give trace.training_share=0, and a predictor that needs no training"
        )
    return kept
