"""The human chat messages of the package `chitchat-dataset` (258,145 messages, MIT), by id."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

MIN_WORDS, MAX_WORDS = 3, 60


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
