"""Replay what a real model answered to human chat messages (`tokenyard trace record` makes such a file).

The file holds ids, lengths, seconds and rule scores, no text; the text comes from the package `chitchat-dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.formats.parquet import read_table, write_table
from traces.kinds import KINDS
from traces.resample import check_resample, resampled, said
from traces.schema import LONGEST, TraceError, check, check_columns
from traces.split import check_kept, in_training, none_kept
from traces.synthetic.arrivals import poisson
from traces.text import chitchat
from traces.text.scoring import score_texts

SHIPPED = Path(__file__).parent / "data" / "smollm2-135m_chitchat.parquet"
LENGTHS = ("message_id", "prompt_tokens", "output_tokens")
MEASURED = ("first_token_seconds", "seconds", "finish_reason")
RECORDING = (*LENGTHS, *MEASURED, *KINDS)
NAMES = dict(zip(("measured_first_token", "measured_finished", "task"), MEASURED, strict=True))  # of the schema


def with_scores(answers: pd.DataFrame, scorer: str = "parser", progress: bool = False) -> pd.DataFrame:
    """`answers` with the rule scores of each message's text as columns, worked out anew by `scorer`."""
    texts = chitchat.messages()
    scores = score_texts([texts[message] for message in answers["message_id"]], scorer, progress)
    return answers.assign(**dict(zip(KINDS, scores.T, strict=True)))


def write_recording(answers: pd.DataFrame, path: Path, provenance: dict[str, Any]) -> None:
    """Write a recording; `provenance` must state its `max_tokens`."""
    write_table(_checked(answers, str(path), provenance), path, "recording", provenance)


def read_recording(path: Path) -> pd.DataFrame:
    """The recorded answers, in the order in which they were recorded, with `attrs["provenance"]`."""
    table = read_table(path, "recording")
    return _checked(table, str(path), table.attrs["provenance"])


def _checked(table: pd.DataFrame, source: str, provenance: dict[str, Any]) -> pd.DataFrame:
    check_columns(table, source, RECORDING, RECORDING)
    longest = provenance.get("max_tokens")
    if not isinstance(longest, int) or isinstance(longest, bool) or not 1 <= longest <= LONGEST:
        raise TraceError(f"{source}: the provenance's max_tokens is {longest!r}, not a number of tokens")
    as_trace = table.rename(columns={theirs: ours for ours, theirs in NAMES.items()})
    checked = check(as_trace.assign(arrival=0.0, max_tokens=longest), source, names=NAMES)
    result = checked.rename(columns=NAMES)[list(RECORDING)]
    for column, bad, reason in (
        ("message_id", result["message_id"].duplicated(), "was recorded before"),
        ("first_token_seconds", result["first_token_seconds"] <= 0, "is not above 0"),
    ):
        if bad.any():
            row = int(bad.idxmax())
            raise TraceError(f"{source}, row {row + 1}: {column} {result[column].loc[row]} {reason}")
    result.attrs = dict(table.attrs)
    return result


@dataclass(frozen=True)
class Recorded:
    """Recorded answers, arriving as a Poisson process of `rate` requests/s.

    Messages are split by a hash of their id: `training_share` of them train (None: 0), the others are replayed in
    random order. `resample` "blocks" draws blocks of `block` rows of that (see `traces.resample.Blocks`).
    `requests` None replays each once; more than there are, and they are drawn with replacement (a bootstrap).
    `path` None is the recording that ships with the project. `with_text` adds the prompts.
    """

    rate: float
    requests: int | None = None
    path: str | None = None
    training_share: float | None = 0.5
    with_text: bool = False
    resample: str | None = None
    block: int | None = None

    def __post_init__(self) -> None:
        check_kept(self.training_share)
        check_resample(self.resample, self.block)
        if not 0 < self.rate < np.inf:
            raise ValueError(f"rate must be a positive number of requests/s, got {self.rate}")
        if self.requests is not None and self.requests < 1:
            raise ValueError(f"requests must be at least 1, got {self.requests}")

    @property
    def provenance(self) -> str:
        """One line: which model answered what, and which part of this is synthetic."""
        made = self._recording.attrs["provenance"]
        return (
            f"recorded: {made['model']} ({made['weights']} weights, {made['decoding']}) on chitchat messages, answers "
            f"cut at {made['max_tokens']} tokens, {made['processor']}, {made['date']}; Poisson arrivals, "
            f"synthetic{said(self.resample, self.block)}"
        )

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`lengths` draws which messages come, in which order; `arrivals` draws when."""
        pool = self._part(training=False)
        requests = len(pool) if self.requests is None else self.requests
        if requests > len(pool):
            chosen = lengths.integers(len(pool), size=requests)
        else:
            chosen = lengths.permutation(len(pool))[:requests]
        rows = pool.iloc[chosen].reset_index(drop=True)
        table = check(rows.assign(arrival=poisson(self.rate, requests, arrivals)), self._file.name)
        table.attrs["read"] = len(self._recording)
        return resampled(table, self.resample, self.block, arrivals)

    def training(self) -> pd.DataFrame:
        """The answers that are never replayed, all at arrival 0, in the order in which they were recorded."""
        if not self.training_share:
            raise none_kept(str(self._file))
        return check(self._part(training=True).assign(arrival=0.0), self._file.name)

    @property
    def _file(self) -> Path:
        return SHIPPED if self.path is None else Path(self.path)

    @cached_property
    def _recording(self) -> pd.DataFrame:
        return read_recording(self._file)

    def _part(self, training: bool) -> pd.DataFrame:
        recorded = self._recording
        chosen = [in_training(key, self.training_share or 0) is training for key in recorded["message_id"]]
        part = recorded[chosen].drop(columns=list(MEASURED)).reset_index(drop=True)
        if part.empty:
            name = "training" if training else "replay"
            raise TraceError(f"{self._file}: none of its {len(recorded)} messages falls in the {name} part")
        part = part.assign(max_tokens=recorded.attrs["provenance"]["max_tokens"])
        if self.with_text:
            texts = chitchat.messages()
            part = part.assign(prompt_text=[texts[key] for key in part["message_id"]])
        return part
