"""Which prompts are foretold by a fit to which others: by the hash of the text, so that copies stay together."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from traces.split import normalized

NEAR = 0.6  # cosine of TF-IDF vectors from which two prompts are near-duplicates


def folds_of(texts: Sequence[str], folds: int, near_duplicates_together: bool = False) -> NDArray[np.int64]:
    """The fold, from 0, of each text; ValueError where one of the `folds` stays empty."""
    if folds < 2:
        raise ValueError(f"folds must be at least 2, got {folds}")
    keys = [normalized(text) for text in texts]
    if near_duplicates_together:
        keys = _leaders(keys)
    found = np.array([_hash(key) % folds for key in keys])
    if empty := set(range(folds)) - set(found.tolist()):
        raise ValueError(f"{len(texts)} prompts do not fill {folds} folds: {len(empty)} have none")
    return found


def _hash(key: str) -> int:
    return int.from_bytes(blake2b(key.encode("utf-8"), digest_size=8, person=b"tokenyard-folds").digest(), "big")


def _leaders(keys: list[str]) -> list[str]:
    """For each key the first, in sorting order, of all that are its near-duplicates, or theirs in turn."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32).fit_transform(keys)
    pairs = []
    for start in range(0, len(keys), 512):
        likeness = (vectors[start : start + 512] @ vectors.T).tocoo()
        near = likeness.data > NEAR
        pairs.append((likeness.row[near] + start, likeness.col[near]))
    rows, columns = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    shape = (len(keys), len(keys))
    _, group = connected_components(coo_matrix((np.ones(len(rows)), (rows, columns)), shape), directed=False)
    leader: dict[int, str] = {}
    for number, key in zip(group.tolist(), keys, strict=True):
        leader[number] = min(key, leader.get(number, key))
    return [leader[number] for number in group.tolist()]
