"""Prompts and the lengths of several sampled answers to each, in the format of the CASTILLO collection.

One parquet file holds `dataset, prompt_id, prompt_text`, another `dataset, prompt_id, model, input_tokens,
output_tokens`, the last a list of tokens, an entry a sampled answer (DanielFPerez/castillo_code, Apache-2.0). Other
columns are not read.
"""

from __future__ import annotations

from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.formats.parquet import read_columns
from traces.schema import LONGEST, SEQUENCES, TraceError, check_columns

PROMPT = ("dataset", "prompt_id")
PROMPTS = (*PROMPT, "prompt_text")
ANSWERS = (*PROMPT, "model")
LENGTHS = (*ANSWERS, "input_tokens", "output_tokens")
CLIP = 2000  # tokens: a longer answer is degenerate more often than not


def read(prompts: Path, lengths: Path, *, clip: int = CLIP) -> pd.DataFrame:
    """A row for each (dataset, prompt_id, model), in the order of `lengths`: with its prompt_text, input_tokens and
    `samples` (an int64 array of output tokens, cut at `clip`).

    `attrs["clipped"]` counts the samples that were cut, by model. TraceError names file, row and column of a bad cell,
    of a key that stands twice, and of lengths whose prompt is not in `prompts`.
    """
    if clip < 1:
        raise ValueError(f"clip must be at least 1 token, got {clip}")
    texts, answers = _table(prompts, PROMPTS), _table(lengths, LENGTHS)
    _texts(texts, prompts, PROMPTS)
    _texts(answers, lengths, ANSWERS)
    _unique(texts, prompts, PROMPT)
    _unique(answers, lengths, ANSWERS)
    _all(answers, lengths, "input_tokens", [_count(cell) for cell in answers["input_tokens"]])
    _all(answers, lengths, "output_tokens", [_counts(cell) for cell in answers["output_tokens"]])
    table = answers.merge(texts, on=list(PROMPT), how="left")
    _all(table, lengths, "prompt_id", table["prompt_text"].notna().tolist(), f"is not among the prompts of {prompts}")
    samples = [np.asarray(cell, dtype=np.int64) for cell in table["output_tokens"]]
    cut = pd.Series([int((cell > clip).sum()) for cell in samples]).groupby(table["model"].to_numpy()).sum()
    table = table.drop(columns="output_tokens").assign(samples=[np.minimum(cell, clip) for cell in samples])
    table.attrs["clipped"] = {str(model): int(count) for model, count in cut.items()}
    return table


def of_model(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of the one model called `name`, or with `name` in its name; ValueError where that is none or several."""
    models = sorted(table["model"].unique())
    found = [name] if name in models else [model for model in models if name in model]
    if len(found) != 1:
        raise ValueError(f"{name!r} is {len(found)} of the models {', '.join(models)}")
    return table[table["model"] == found[0]].reset_index(drop=True)


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    table, _ = read_columns(path, *columns)
    check_columns(table, str(path), columns, columns)
    return table


def _texts(table: pd.DataFrame, path: Path, columns: tuple[str, ...]) -> None:
    for name in columns:
        _all(table, path, name, [isinstance(cell, str) and bool(cell.strip()) for cell in table[name]], "is no text")


def _unique(table: pd.DataFrame, path: Path, key: tuple[str, ...]) -> None:
    repeated = table.duplicated(list(key)).to_numpy()
    if repeated.any():
        row = int(repeated.argmax())
        raise TraceError(f"{path}, row {row + 1}: {', '.join(key)} {_key(table, row, key)} was there before")


def _key(table: pd.DataFrame, row: int, key: tuple[str, ...]) -> str:
    return "/".join(str(table[name].iloc[row]) for name in key)


def _all(table: pd.DataFrame, path: Path, column: str, good: list[bool], reason: str = "") -> None:
    """TraceError at the first row that is not good."""
    if not all(good):
        row = good.index(False)
        shown = repr(table[column].iloc[row])
        reason = reason or f"is not {'a list of ' * (column == 'output_tokens')}whole tokens, from 1 to {LONGEST:,}"
        raise TraceError(f"{path}, row {row + 1}, column {column}: {shown[:60]} {reason}")


def _count(cell: Any) -> bool:
    return isinstance(cell, Integral) and not isinstance(cell, bool) and 1 <= int(cell) <= LONGEST


def _counts(cell: Any) -> bool:
    return isinstance(cell, SEQUENCES) and len(cell) > 0 and all(_count(one) for one in cell)
