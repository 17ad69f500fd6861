"""What was found for the claims of a paper, kept beside them in found.json: a fresh clone has no results."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from experiments.claims import Found
from experiments.claims.ours import Basis
from experiments.claims.record import Claim, ClaimError
from experiments.run.written import write_whole
from experiments.tables.stats import Interval

FILE = "found.json"
NOTHING = "none"  # in place of an experiment


@dataclass(frozen=True, slots=True)
class Entry:
    """What was found for one claim, and the digest of the record that it was found for."""

    record: str
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """The entries of a paper by claim, and what each experiment's results were."""

    entries: dict[str, Entry] = field(default_factory=dict)
    bases: dict[str, Basis] = field(default_factory=dict)

    def of(self, claim: Claim) -> Entry | None:
        """What was found for this claim as it stands; None where nothing was, or for another record."""
        entry = self.entries.get(claim.name)
        return entry if entry and entry.record == digest(claim) else None

    def changed(self, claim: Claim) -> bool:
        """Whether the record of `claim` was changed since it was found."""
        return claim.name in self.entries and self.of(claim) is None


def digest(claim: Claim) -> str:
    """16 hexadecimal digits for what the value and the verdict of a claim depend on."""
    return hashlib.sha256(json.dumps(claim.judged(), sort_keys=True, default=str).encode()).hexdigest()[:16]


def read(folder: Path) -> Kept:
    """What is kept in a paper's folder; ClaimError for what is no such file."""
    path = folder / FILE
    if not path.exists():
        return Kept()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("seal") != _seal(content):
            raise ValueError("it is not as it was written")
        entries = {name: _entry(said) for name, said in content["claims"].items()}
        bases = {
            name: Basis(**{**said, "parts": tuple(said["parts"].split())}) for name, said in content["from"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClaimError(f"{path} is damaged, {error}: restore it, or delete it and find anew") from None
    return Kept(entries, bases)


def _entry(said: Mapping[str, Any]) -> Entry:
    found = [Found(one["where"], Interval(_number(one["mean"]), _number(one["half_width"]))) for one in said["found"]]
    return Entry(said["record"], tuple(found))


def write(folder: Path, kept: Kept) -> None:
    """Keep it."""
    claims = {
        name: {
            "record": entry.record,
            "found": [
                {"where": where, "mean": _said(value.mean), "half_width": _said(value.half_width)}
                for where, value in entry.found
            ],
        }
        for name, entry in kept.entries.items()
    }
    bases = {name: {**asdict(one), "parts": " ".join(one.parts)} for name, one in sorted(kept.bases.items())}
    content = {"claims": claims, "from": bases}
    text = json.dumps({**content, "seal": _seal(content)}, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(folder / FILE, f"{text}\n")


def _seal(content: Mapping[str, Any]) -> str:
    """16 hexadecimal digits for all that is kept: what a hand changes is found."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _number(said: float | None) -> float:
    return math.nan if said is None else float(said)


def _said(value: float) -> float | None:
    return value if math.isfinite(value) else None
