"""Which leaves of a configuration are read by what builds and runs it."""

from __future__ import annotations

from collections.abc import Iterable

from omegaconf import DictConfig

from experiments.run.references import REFERENCE, absolute, behind, leaves, references, within
from experiments.settings.toplevel import TOP_LEVEL

OF_THE_RUN = set(TOP_LEVEL) - {"resample", "load_of"}  # these two are read where something refers to them
FINDERS = "calibration.found_by."
PARTS = ("policy", "predictor", "trace", "cluster.link", "reward")
TOGETHER = "cluster.steps_together"
OPTIONAL = ("host", "host_time", "decoding")  # of a device: without it as with null
DEVICE = (
    "kind", "count", "profile", "kv_tokens", "max_model_len", "block_size", "prefix_caching", "batching", *OPTIONAL
)  # fmt: skip


class Reads:
    """What is read of `cfg`: a part's every leaf, the settings of a run, and all that these refer to."""

    def __init__(self, cfg: DictConfig) -> None:
        self.raw = leaves(cfg)
        self._read: set[str] = set()
        self._follow(key for key in self.raw if self._is_root(key))
        for key in [key for key in self.raw if key.startswith(FINDERS)]:
            if self.found(key.removeprefix(FINDERS).split(".")[0]):
                self._follow([key])
        if self.raw.get("load") is not None:
            self._follow(key for key in ("load_of", "calibration.batch_size") if key in self.raw)

    def __contains__(self, key: str) -> bool:
        return key in self._read

    def found(self, name: str) -> bool:
        """Whether `calibration.<name>` is read, and has to be found from the training rows."""
        return f"calibration.{name}" in self and self.raw[f"calibration.{name}"] is None

    def source(self, key: str) -> str:
        """The setting from which `key` takes its value: itself, unless it refers to another."""
        seen = {key}
        while (value := self.raw.get(key)) is not None and (match := REFERENCE.fullmatch(str(value))):
            key = absolute(key, match)
            if key in seen or key not in self.raw:
                break
            seen.add(key)
        return key

    def behind(self, path: str) -> set[str]:
        """Every setting that says what stands at `path` and below it."""
        return behind(self.raw, path)

    def _below(self, target: str) -> list[str]:
        return [name for name in self.raw if within(name, target)]

    def _is_root(self, key: str) -> bool:
        parts = key.split(".")
        if parts[:2] == ["cluster", "devices"]:
            return len(parts) < 4 or parts[3] in DEVICE
        return key == TOGETHER or parts[0] in OF_THE_RUN or any(within(key, part) for part in PARTS)

    def _follow(self, keys: Iterable[str]) -> None:
        left = list(keys)
        while left:
            key = left.pop()
            if key in self._read:
                continue
            self._read.add(key)
            for target in references(key, self.raw.get(key)):
                left += self._below(target)
