"""The human chat messages of the package `chitchat-dataset` (258,145 messages, MIT), by id.

Figures of some of them ship (`traces.text.score_chitchat` makes the table), so that these need no package.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path

import pandas as pd

from traces.formats.parquet import read_table
from traces.kinds import KINDS
from traces.schema import check_columns

MIN_WORDS, MAX_WORDS = 3, 60
SCORED = Path(__file__).parents[1] / "data" / "chitchat_scores.parquet"
FIGURES = ("message_id", "words", *KINDS)


@cache
def messages() -> dict[str, str]:
    """All messages: id `conversation:turn:part` -> text, in the package's order."""
    try:
        text = (resources.files("chitchat_dataset") / "dataset.json").read_text(encoding="utf-8")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the text of this trace is in the package chitchat-dataset: pip install chitchat-dataset"
        ) from error
    return {
        f"{conversation}:{turn}:{part}": message["text"]
        for conversation, body in json.loads(text).items()
        for turn, parts in enumerate(body["messages"])
        for part, message in enumerate(parts)
    }


def candidates() -> list[str]:
    """Ids of the messages of `MIN_WORDS` to `MAX_WORDS` words, the population that a recording samples."""
    return [key for key, text in messages().items() if MIN_WORDS <= len(text.split()) <= MAX_WORDS]


def scored(path: Path = SCORED) -> pd.DataFrame:
    """A row a message: `FIGURES`, which hold no text; how they were made is in `attrs["provenance"]`."""
    table = read_table(path, "scores")
    check_columns(table, str(path), FIGURES, FIGURES)
    return table
