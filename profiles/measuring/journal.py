"""The record of a measurement under way, one json line an event, so that a killed one can go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Journal:
    """Events of one measurement, appended to `path` as they happen.

    The first line holds the measurement's `settings`; a file of other settings, or a line that is not json other than
    a last one cut short by a kill, is a ValueError that says what to do.
    """

    def __init__(self, path: Path, settings: dict[str, Any], restart: bool = False) -> None:
        self.path = path
        self.events: list[dict[str, Any]] = []
        if restart:
            path.unlink(missing_ok=True)
        lines = self._whole_lines() if path.exists() else []
        if lines:
            self._check(lines[0]["settings"], settings)
            self.events = lines[1:]
            self._rewrite(lines)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._rewrite([{"settings": settings}])

    def append(self, event: dict[str, Any]) -> None:
        """Add one event, and see it on disk."""
        self.events.append(event)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def remove(self) -> None:
        """Delete the file: the measurement is complete."""
        self.path.unlink(missing_ok=True)

    def _whole_lines(self) -> list[dict[str, Any]]:
        texts = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        if texts and not texts[-1].endswith("\n"):
            texts.pop()
        try:
            return [json.loads(text) for text in texts]
        except json.JSONDecodeError as error:
            raise ValueError(f"{self.path}: not a measurement's journal: {error}; restart=true discards it") from error

    def _check(self, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        differing = [key for key in sorted({*found, *wanted}) if found.get(key) != wanted.get(key)]
        if differing:
            changes = "; ".join(f"{key}: {found.get(key)!r} there, {wanted.get(key)!r} now" for key in differing)
            raise ValueError(f"{self.path} holds another measurement ({changes}); restart=true discards it")

    def _rewrite(self, lines: list[dict[str, Any]]) -> None:
        temporary = self.path.with_name(self.path.name + ".tmp")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        temporary.replace(self.path)
