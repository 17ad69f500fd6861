"""The folder of one run: named by the hash of what went into it, written whole or not at all, and checked when read.

<results>/<name>/<hash>/{config.yaml, requests.parquet, steps.parquet, spans.parquet, audit.parquet, summary.json, ...}
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from experiments.identity.digests import digest_of_file
from experiments.identity.of_run import digest
from experiments.run.claim import NAME, Claim, claimed
from experiments.run.written import write_columns, write_whole
from sim.record import Table

BLOCK = re.compile(r"^(?=(?:  )?[^\s-])", re.MULTILINE)  # where a key of the first or second level begins
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
RESULTS = ("requests.parquet", "summary.json")  # that no complete run lacks
MORE = ("steps.parquet", "spans.parquet", "audit.parquet")  # of a run that was asked for them


def _in_blocks(text: str) -> dict[str, Any]:
    """The mapping in a config.yaml, key by key: the runs of a sweep share most keys, and each is parsed once.

    Some other mapping where the text is laid out otherwise: the digest tells.
    """
    found: dict[str, Any] = {}
    section = found
    for block in BLOCK.split(text):
        if block.startswith("  "):
            section.update(_parsed(block))
        else:
            section = {}
            found.update((key, section if value is None else value) for key, value in _parsed(block).items())
    return found


@lru_cache(maxsize=4096)
def _parsed(block: str) -> dict[str, Any]:
    try:
        parsed = yaml.load(block, Loader)
    except yaml.YAMLError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {}


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of one run, and the names by which a command asked for it (see `askings`; None: all by which any did).

    A name is {"choices": by config group, "overrides": as typed, "spoken": settings that only others refer to}.
    """

    path: Path
    asked: Mapping[str, Any] | None = None

    @property
    def state(self) -> str:
        """`absent`, `running` (or killed while it ran), `failed`, `complete`, or `damaged`: see `damage`."""
        if not (self.path / "status.json").exists():
            return "absent"
        try:
            status = self.status()
        except ValueError:
            return "damaged"
        state = status.get("state")
        if state not in ("running", "failed", "complete") or not _is_sealed(status):
            return "damaged"
        return "damaged" if state == "complete" and self.damage() else state

    def damage(self) -> str:
        """What is wrong with the files of a run that was complete; nothing if they are as they were written."""
        try:
            status = self.status()
            if not _is_sealed(status):
                return "status.json is not as it was written"
            files = status.get("files")
            if files is None:  # of an older version, which kept no checksums
                missing = [name for name in ("config.yaml", *RESULTS) if not (self.path / name).is_file()]
                if missing:
                    return f"{missing[0]} is missing"
                if "code" in self.made_of():
                    return "status.json is not whole"
                self.summary()
                return "" if _is_parquet(self.path / "requests.parquet") else "requests.parquet is not whole"
            for name in ("config.yaml", *RESULTS, *files):
                path = self.path / name
                if not path.is_file():
                    return f"{name} is missing"
                if path.stat().st_size != files[name]["bytes"] or digest_of_file(path) != files[name]["sha256"]:
                    return f"{name} is not as it was written"
            self.made_of()
        except (ValueError, KeyError, TypeError, OSError) as error:
            return " ".join(str(error).split())
        return ""

    @contextmanager
    def held(self) -> Iterator[Claim]:
        """Make the folder, and keep other processes from making the same run until this one is through."""
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                claim = stack.enter_context(claimed(self.path))
            except OSError as error:
                raise OSError(f"{self.path} cannot be written: {error.strerror}") from error
            yield claim

    def made_of(self) -> dict[str, Any]:
        """What the stored results were made of; ValueError if that is not what the folder's name says."""
        stored = self.path / "config.yaml"
        text = stored.read_text(encoding="utf-8")
        made_of: dict[str, Any] = _in_blocks(text)
        if _is_named(self.path, made_of):
            return made_of
        try:
            made_of = yaml.load(text, Loader)
        except yaml.YAMLError:
            made_of = {}
        if _is_named(self.path, made_of):
            return made_of
        raise ValueError(
            f"{stored} is not the configuration of the results beside it (the hash differs): "
            "restore it, or delete the folder"
        )

    def begin(self, made_of: Mapping[str, Any]) -> None:
        """Make the folder, take away what an earlier try left, and say that a run is under way in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        old = [self.path / name for name in ("status.json", "config.yaml", *RESULTS, *MORE)]
        for left in [*old, *(path for path in self.path.glob(".*") if not path.name.startswith(NAME))]:
            left.unlink(missing_ok=True)
        write_whole(self.path / "config.yaml", yaml.dump(dict(made_of), Dumper=Dumper, sort_keys=False))
        self._status("running")

    def complete(
        self,
        requests: Table,
        more: Mapping[str, Table],
        summary: Mapping[str, Any],
        overrides: list[str],
        code: Mapping[str, str] | None = None,
    ) -> None:
        """Write the results; the status comes last, with the checksums of all files and the `code` that made them."""
        for name, table in (tables := {"requests.parquet": requests, **more}).items():
            write_columns(self.path / name, table)
        text = json.dumps(_finite(dict(summary)), indent=1, sort_keys=True, allow_nan=False)
        write_whole(self.path / "summary.json", text)
        files = {name: _sum(self.path / name) for name in ("config.yaml", *tables, "summary.json")}
        asked = [] if self.asked is None else [dict(self.asked)]
        self._status("complete", overrides=overrides, asked=asked, files=files, code=dict(code or {}))

    def fail(self, error: BaseException, overrides: list[str]) -> None:
        """Leave the error behind."""
        trace = "".join(traceback.format_exception(error))
        self._status("failed", overrides=overrides, error=f"{type(error).__name__}: {error}", traceback=trace)

    def is_asked(self) -> bool:
        """Whether the status of the complete run knows by which names it is asked for now."""
        return self.asked is None or dict(self.asked) in self.status().get("asked", [])

    def ask(self) -> None:
        """Add the names by which the complete run is asked for now to its status."""
        if self.asked is not None and not self.is_asked():
            status = self.status()
            status["asked"] = [*status.get("asked", []), dict(self.asked)]
            self.write_status(status)

    def askings(self, made_of: Mapping[str, Any], status: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the results were made of and `at` which instant, for each name by which they were asked for.

        `overrides` are those that were typed then.
        """
        names = [self.asked] if self.asked is not None else status.get("asked")
        if not names:
            return [{**made_of, "overrides": status.get("overrides", []), "at": status.get("at", "")}]
        return [
            {
                **made_of,
                "at": status.get("at", ""),
                "choices": name["choices"],
                "overrides": name["overrides"],
                "config": {**made_of["config"], **name["spoken"]},
            }
            for name in names
        ]

    def summary(self) -> dict[str, Any]:
        """The metrics of a complete run, NaN for what was not measured."""
        return _read_back(self._json("summary.json"))

    def status(self) -> dict[str, Any]:
        """State, instant, and the overrides or the error; of a complete run also its files, code and names."""
        return self._json("status.json")

    def known(self) -> Known:
        """Itself, with what it says of a complete run, read now; ValueError or OSError as when it is asked."""
        return Known(self.path, self.asked, read=(self.made_of(), self.status(), self.summary()))

    def _json(self, name: str) -> dict[str, Any]:
        try:
            loaded = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{self.path / name} is damaged ({error}): delete the folder, and run again") from error
        if not isinstance(loaded, dict):
            raise ValueError(f"{self.path / name} holds no settings: delete the folder, and run again")
        return loaded

    def _status(self, state: str, **more: Any) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.write_status({"state": state, "at": at, **more})

    def write_status(self, status: Mapping[str, Any]) -> None:
        """Write the status, with the checksum of what it says."""
        write_whole(self.path / "status.json", json.dumps({**status, "sha256": _seal(status)}, indent=1))


@dataclass(frozen=True, slots=True)
class Known(Folder):
    """As `Folder`, of a complete run that was read already: what it was made of, its status and summary, as of then."""

    read: tuple[dict[str, Any], dict[str, Any], dict[str, Any]] = field(kw_only=True)

    def made_of(self) -> dict[str, Any]:
        return self.read[0]

    def status(self) -> dict[str, Any]:
        return self.read[1]

    def summary(self) -> dict[str, Any]:
        return self.read[2]


def _seal(status: Mapping[str, Any]) -> str:
    """The sha256 of all that a status says but this."""
    said = json.loads(json.dumps({key: value for key, value in status.items() if key != "sha256"}))
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _is_sealed(status: Mapping[str, Any]) -> bool:
    """Whether a status is as it was written, as far as it tells: those that knew no code had no checksum."""
    return status["sha256"] == _seal(status) if "sha256" in status else not status.get("code")


def _is_named(path: Path, made_of: Any) -> bool:
    try:
        return isinstance(made_of, dict) and digest(made_of) == path.name
    except (KeyError, TypeError, AttributeError, ValueError):  # a config.yaml that says something else
        return False


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(-min(4, path.stat().st_size), os.SEEK_END)
        return start == file.read() == b"PAR1"


def _sum(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": digest_of_file(path)}


def _finite(value: Any) -> Any:
    """`value` with null for the numbers that JSON has not: NaN, for what was not measured, and infinities."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read_back(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _read_back(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_read_back(item) for item in value]
    return math.nan if value is None else value
