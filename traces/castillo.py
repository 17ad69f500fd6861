"""Replay prompts with the lengths that one model really answered, in CASTILLO's format; arrivals are synthetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.formats.castillo import CLIP, of_model, read
from traces.kinds import KINDS
from traces.locate import public_file
from traces.resample import check_resample, resampled, said
from traces.schema import BY_MODEL, TraceError, check
from traces.split import check_kept, in_training, none_kept, normalized
from traces.synthetic.arrivals import poisson
from traces.text.cache import cached_scores


@dataclass(frozen=True)
class Castillo:
    """`requests` prompts of the part that is never trained on, arriving as a Poisson process of `rate` requests/s.

    The answer is one of the sampled lengths of `model` (its name, or a part of it), cut at `clip` tokens. A prompt is
    of the training part by the hash of its text, so that copies of it are too; training rows carry each prompt's first
    sample. The column `samples` has a prompt's other ones, in training rows so many that the first is one of
    `training_answers` (None: all). Of `datasets` alone, if any are named, and of prompts of up to `longest_prompt`
    tokens; what is left out for its length is counted. `models` are others that answered the same prompts, by the name
    under which a cluster has each: a sampled length goes into the column `output_tokens.NAME`, and there are no
    `samples`. Prompts that not all were asked are left out and counted; a prompt's tokens are as `model` counts them.
    `resample` "blocks" draws blocks of `block` rows of that (see `traces.resample.Blocks`). The files are found by
    `traces.locate.public_file`.
    """

    rate: float
    requests: int
    model: str
    prompts: str
    lengths: str
    training_share: float | None = 0.5
    clip: int = CLIP
    datasets: Sequence[str] | None = None
    longest_prompt: int | None = None
    resample: str | None = None
    block: int | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    training_answers: int | None = 1

    def __post_init__(self) -> None:
        check_kept(self.training_share)
        check_resample(self.resample, self.block)
        if self.training_answers is not None and not self.training_answers >= 1:
            raise ValueError(f"training_answers must be at least 1, got {self.training_answers}")

    @property
    def provenance(self) -> str:
        """One line: what is real here, and what is not."""
        model, counts = self._rows["model"].iloc[0], self._rows.attrs
        of = f" of {', '.join(self.datasets)}" if self.datasets else ""
        left = (
            f", {counts['too_long']} prompts above {self.longest_prompt} tokens left out" if self.longest_prompt else ""
        )
        others = "".join(f" and of {name} as {ours}" for ours, name in self.models.items())
        if others:
            left += f", {counts['unasked']} that not all were asked"
        return (
            f"recorded: sampled answers of {model}{others} ({Path(self.lengths).name}, CASTILLO, Apache-2.0){of}, cut "
            f"at {self.clip} tokens ({counts['clipped']} of the model's samples were longer){left}; Poisson arrivals, "
            f"synthetic{said(self.resample, self.block)}"
        )

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`lengths` draws which prompts come, and which sample answers each; `arrivals` draws when."""
        pool = self._part(training=False)
        if self.requests > len(pool):
            chosen = lengths.integers(len(pool), size=self.requests)
        else:
            chosen = lengths.permutation(len(pool))[: self.requests]
        rows = pool.iloc[chosen].reset_index(drop=True)
        which = {
            name: [int(lengths.integers(len(samples))) for samples in rows[of]] for name, of in self._samples.items()
        }
        table = self._trace(rows, which, None).pipe(self._arriving, poisson(self.rate, self.requests, arrivals))
        table.attrs["read"] = len(self._rows)
        return resampled(table, self.resample, self.block, arrivals)

    def training(self) -> pd.DataFrame:
        """The prompts that are never replayed, each with its first samples, all at arrival 0."""
        if not self.training_share:
            raise none_kept(self.lengths)
        rows = self._part(training=True)
        table = self._trace(rows, dict.fromkeys(self._samples, [0] * len(rows)), self.training_answers)
        return self._arriving(table, np.zeros(len(rows)))

    @property
    def _samples(self) -> dict[str, str]:
        """Column of the trace -> that of `_rows` which has the samples it is drawn from."""
        return {"output_tokens": "samples", **{f"{BY_MODEL}{name}": f"samples {name}" for name in self.models}}

    @cached_property
    def _rows(self) -> pd.DataFrame:
        table = read(public_file(self.prompts), public_file(self.lengths), clip=self.clip)
        rows = of_model(table, self.model)
        clipped = table.attrs["clipped"].get(rows["model"].iloc[0], 0)
        if unknown := sorted(set(self.datasets or ()) - set(rows["dataset"])):
            raise TraceError(
                f"{self.lengths}: no data set {', '.join(unknown)}; it has {', '.join(set(rows['dataset']))}"
            )
        if self.datasets:
            rows = rows[rows["dataset"].isin(self.datasets)]
        asked = len(rows)
        for name, model in self.models.items():
            others = of_model(table, model)[["dataset", "prompt_id", "samples"]]
            rows = rows.merge(others.rename(columns={"samples": f"samples {name}"}), on=["dataset", "prompt_id"])
        if rows.empty:
            raise TraceError(
                f"{self.lengths}: no prompt was answered by {self.model}, {', '.join(self.models.values())}"
            )
        unasked = asked - len(rows)
        fits = rows["input_tokens"] <= (self.longest_prompt or np.inf)
        rows = rows[fits].reset_index(drop=True)
        rows.attrs = {"clipped": clipped, "too_long": int((~fits).sum()), "unasked": unasked}
        return rows

    def _part(self, training: bool) -> pd.DataFrame:
        rows = self._rows
        chosen = [in_training(normalized(text), self.training_share or 0) is training for text in rows["prompt_text"]]
        part = rows[chosen].reset_index(drop=True)
        if part.empty:
            raise TraceError(f"{self.lengths}: no prompt falls in the {'training' if training else 'replay'} part")
        return part

    def _trace(self, rows: pd.DataFrame, which: Mapping[str, list[int]], most: int | None) -> pd.DataFrame:
        """`rows` answered by the samples number `which`, with as many others as make at most `most` (None: all)."""
        scores = cached_scores(rows["prompt_text"].tolist())
        answers: dict[str, list[Any]] = {
            name: [int(samples[at]) for samples, at in zip(rows[self._samples[name]], numbers, strict=True)]
            for name, numbers in which.items()
        }
        if not self.models and most != 1:
            others = zip(rows["samples"], which["output_tokens"], strict=True)
            answers["samples"] = [np.delete(samples, at)[: most and most - 1].tolist() for samples, at in others]
        return pd.DataFrame(
            {
                "prompt_tokens": rows["input_tokens"],
                **answers,
                "max_tokens": self.clip,
                "prompt_text": rows["prompt_text"],
                "task": rows["dataset"],
                **{kind: scores[:, column] for column, kind in enumerate(KINDS)},
            }
        )

    def _arriving(self, table: pd.DataFrame, instants: np.ndarray) -> pd.DataFrame:
        return check(table.assign(arrival=instants), Path(self.lengths).name)
