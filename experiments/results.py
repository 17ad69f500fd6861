"""The folder of one run: named by the hash of what went into it, written whole or not at all.

<results>/<name>/<hash>/{config.yaml, requests.parquet, steps.parquet, summary.json, status.json}
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from omegaconf import DictConfig, OmegaConf

from sim.record import Table

IRRELEVANT = ("name", "results", "experiment", "reference")  # where results lie, and how they are told
BLOCK = re.compile(r"^(?=(?:  )?[^\s-])", re.MULTILINE)  # where a key of the first or second level begins
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast


def identity(cfg: DictConfig, choices: Mapping[str, str], inputs: Mapping[str, str]) -> dict[str, Any]:
    """What a run's results depend on: its configuration, the digests of what it reads, tokenyard's version."""
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    return {
        "tokenyard": version("tokenyard"),
        "choices": dict(sorted(choices.items())),
        "inputs": dict(sorted(inputs.items())),
        "config": {str(key): value for key, value in plain.items() if key not in IRRELEVANT},
    }


def digest(made_of: Mapping[str, Any]) -> str:
    """The name of the folder of a run that is made of `made_of`: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


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


def write_whole(path: Path, text: str) -> None:
    """Write `text` under a temporary name, then rename: the file is there whole, or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of one run."""

    path: Path

    @property
    def state(self) -> str:
        """`absent`, `running` (or killed while it ran, or bereft of a file since), `failed` or `complete`."""
        if not (self.path / "status.json").exists():
            return "absent"
        state = str(self.status()["state"])
        whole = all((self.path / name).exists() for name in ("config.yaml", "requests.parquet", "summary.json"))
        return "running" if state == "complete" and not whole else state

    def made_of(self) -> dict[str, Any]:
        """What the stored results were made of; ValueError if that is not what the folder's name says."""
        stored = self.path / "config.yaml"
        text = stored.read_text(encoding="utf-8")
        made_of = _in_blocks(text)
        if digest(made_of) != self.path.name:
            made_of = yaml.load(text, Loader)
        if not isinstance(made_of, dict) or digest(made_of) != self.path.name:
            raise ValueError(
                f"{stored} is not the configuration of the results beside it (the hash differs): "
                "restore it, or delete the folder"
            )
        return made_of

    def begin(self, made_of: Mapping[str, Any]) -> None:
        """Make the folder and say that a run is under way in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / "config.yaml", yaml.safe_dump(dict(made_of), sort_keys=True))
        self._status("running")

    def complete(self, requests: Table, steps: Table | None, summary: Mapping[str, Any], overrides: list[str]) -> None:
        """Write the results; the status comes last."""
        _write_parquet(self.path / "requests.parquet", requests)
        if steps is not None:
            _write_parquet(self.path / "steps.parquet", steps)
        write_whole(self.path / "summary.json", json.dumps(dict(summary), indent=1, sort_keys=True))
        self._status("complete", overrides=overrides)

    def fail(self, error: BaseException, overrides: list[str]) -> None:
        """Leave the error behind."""
        trace = "".join(traceback.format_exception(error))
        self._status("failed", overrides=overrides, error=f"{type(error).__name__}: {error}", traceback=trace)

    def summary(self) -> dict[str, Any]:
        """The metrics of a complete run."""
        return self._json("summary.json")

    def status(self) -> dict[str, Any]:
        """State, instant, and the overrides or the error."""
        return self._json("status.json")

    def _json(self, name: str) -> dict[str, Any]:
        try:
            loaded = json.loads((self.path / name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{self.path / name} is damaged ({error}): delete the folder, and run again") from error
        if not isinstance(loaded, dict):
            raise ValueError(f"{self.path / name} holds no settings: delete the folder, and run again")
        return loaded

    def _status(self, state: str, **more: Any) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        write_whole(self.path / "status.json", json.dumps({"state": state, "at": at, **more}, indent=1))


def _write_parquet(path: Path, table: Table) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    pd.DataFrame(table).to_parquet(temporary, index=False)
    temporary.replace(path)
