"""How a setting is refused: in one line that names it, its value and what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

LONGEST = 60  # characters of a value that a message repeats
LONGEST_LINE = 1000


class SettingError(ValueError):
    """Settings that cannot be run: a line each."""

    def __init__(self, *lines: str) -> None:
        self.lines = tuple(one_line(line) for line in lines)
        super().__init__("; ".join(self.lines))


def one_line(text: object) -> str:
    """`text` without line ends and control characters, cut where it is very long."""
    flat = " ".join(str(text).split())
    flat = "".join(one if one.isprintable() else repr(one)[1:-1] for one in flat)
    return flat if len(flat) <= LONGEST_LINE else f"{flat[:LONGEST_LINE]}..."


def shown(value: Any) -> str:
    """`value` as yaml writes it, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return short(f"[{', '.join(map(shown, value))}]")
    if isinstance(value, dict):
        return short(f"{{{', '.join(f'{key}: {shown(part)}' for key, part in value.items())}}}")
    return f"'{value}'" if isinstance(value, str) and _reads_otherwise(value) else short(str(value))


def _reads_otherwise(text: str) -> bool:
    """Whether `text`, without quotes, would be no text."""
    with suppress(ValueError):
        float(text)
        return len(text) <= LONGEST
    return text.lower() in ("", "true", "false", "null")


def short(text: str) -> str:
    """`text`, or its beginning and how long it is."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 20]}... ({len(text)} characters)"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean x or y?`, or nothing where no known word is close; of a GPU and a CPU the GPU comes first."""
    words = sorted(known, key=lambda one: ".cpu." in one)
    last: dict[str, str] = {}
    for one in words:
        last.setdefault(one.rsplit(".", 1)[-1], one)
    near = [one for one in words if one.endswith(f".{word}")] or get_close_matches(word, words, n=2, cutoff=0.7)
    near += [last[part] for part in get_close_matches(word.rsplit(".", 1)[-1], last, n=2, cutoff=0.75)]
    unique = list(dict.fromkeys(near))[:2]
    return f"; did you mean {' or '.join(unique)}?" if unique else ""
