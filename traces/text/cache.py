"""What is slow to work out of a text, kept on disk by the text's hash: it is done once, and resumes after a stop."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from tqdm import tqdm

from traces.kinds import KINDS
from traces.text.scoring import score_texts

VARIABLE = "TOKENYARD_CACHE"
CHUNK = 256  # texts between two writes

Compute = Callable[[Sequence[str]], np.ndarray]


def cache_file(name: str) -> Path:
    """The file for `name` in the folder $TOKENYARD_CACHE, or else in results/cache of the working directory."""
    return Path(os.environ.get(VARIABLE) or Path("results") / "cache") / f"{name}.npz"


def cached(name: str, texts: Sequence[str], compute: Compute) -> np.ndarray:
    """`compute(texts)`, a row a text, of which the cache called `name` holds what was computed before."""
    path, wanted = cache_file(name), {key(text): text for text in texts}
    keys, rows = _load(path)
    missing = sorted(wanted.keys() - set(keys))
    with tqdm(total=len(missing), desc=name, unit="text", disable=not missing) as bar:
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            keys += chunk
            rows += [*compute([wanted[one] for one in chunk])]
            _save(path, keys, rows)
            bar.update(len(chunk))
    at = {one: number for number, one in enumerate(keys)}
    return np.array([rows[at[key(text)]] for text in texts])


def cached_scores(texts: Sequence[str], scorer: str = "parser") -> np.ndarray:
    """`score_texts(texts, scorer)`, shape (texts, 6), cached for the rules as they are now."""
    return cached(f"rules-{scorer}-{_rules_version()}", texts, lambda chunk: score_texts(chunk, scorer)).reshape(
        -1, len(KINDS)
    )


def key(text: str) -> str:
    """A name for `text` that no other text has."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _rules_version() -> str:
    """A hash of all that scores depend on here: the source files of the rules and their word lists."""
    digest = blake2b(digest_size=6)
    for path in sorted([*Path(__file__).parent.glob("*.py"), *(Path(__file__).parent / "data").iterdir()]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _load(path: Path) -> tuple[list[str], list[np.ndarray]]:
    if not path.exists():
        return [], []
    with np.load(path, allow_pickle=False) as held:
        return held["keys"].tolist(), [*held["rows"]]


def _save(path: Path, keys: list[str], rows: list[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp.npz")
    try:
        np.savez(temporary, keys=np.array(keys), rows=np.array(rows))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
