"""Put a fitted profile on disk: the json, the samples that it was fitted to, and a picture of both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from profiles.fit import Fitted, fit, relative_errors, rounded
from profiles.plot import plot
from profiles.profile import DeviceProfile, save
from sim.step import Step, attended_tokens

RAW = "raw_seconds"


def release(
    path: Path,
    samples: pd.DataFrame,
    seed: int,
    *,
    model: str,
    device: str,
    facts: Mapping[str, Any],
    provenance: Mapping[str, Any],
    mixed: pd.DataFrame | None = None,
) -> tuple[DeviceProfile, Fitted]:
    """Fit `samples` (phase, batch, new, computed, seconds) and write path.json, .samples.parquet and .png.

    Where samples were set against an anchor, `raw_seconds` is what was timed, and a fit to that has its residuals too.
    `facts` are the other fields of `DeviceProfile`; `provenance` gains the samples' number and hash, the seed of the
    left-out choice and the residuals. `mixed` are measured steps that no curve was fitted to (new, batch, context,
    seconds): a prompt of `new` tokens prefilled while `batch` jobs of `context` tokens decode.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fitted = fit(f"{model} on {device}", samples, seed, facts.get("window", 0), facts.get("windowed", 0.0))
    table_path = path.with_suffix(".samples.parquet")
    samples.to_parquet(table_path, index=False)
    complete = {
        **provenance,
        "samples": len(samples),
        "samples_sha256": hashlib.sha256(table_path.read_bytes()).hexdigest(),
        "left_out_seed": seed,
        "residuals": fitted.residuals,
        **({"residuals_uncorrected": fit_raw(model, device, samples, seed).residuals} if RAW in samples else {}),
    }
    profile = DeviceProfile(
        model=model,
        device=device,
        prefill=fitted.prefill,
        decode=fitted.decode,
        fixed_seconds=rounded(fitted.fixed_seconds),
        provenance=complete,
        **facts,
    )
    if mixed is not None:
        fitted.residuals["mixed"] = {"left_out": relative_errors(mixed_table(profile, mixed))}
    save(profile, path)
    plot(profile, fitted.table, path.with_suffix(".png"))
    return profile, fitted


def fit_raw(model: str, device: str, samples: pd.DataFrame, seed: int) -> Fitted:
    """The fit to what was timed, drift and all."""
    return fit(f"{model} on {device}", samples.assign(seconds=samples[RAW]), seed)


def uncorrected(path: Path, profile: DeviceProfile) -> DeviceProfile:
    """`profile` of the file `path` with the curves of `fit_raw`; ValueError where its samples are not beside it."""
    table = path.with_suffix(".samples.parquet")
    if not table.is_file():
        raise ValueError(f"{path} says that its samples were set against an anchor, but {table} is not there")
    fitted = fit_raw(profile.model, profile.device, pd.read_parquet(table), profile.provenance["left_out_seed"])
    return replace(profile, prefill=fitted.prefill, decode=fitted.decode, fixed_seconds=fitted.fixed_seconds)


def mixed_table(profile: DeviceProfile, mixed: pd.DataFrame) -> pd.DataFrame:
    """`mixed`, a row a kind of step: new, batch, context, and the median measured and fitted seconds."""
    table = mixed.groupby(["new", "batch", "context"], as_index=False).agg(median=("seconds", "median"))
    steps = [
        Step(new, attended_tokens(new, 0), batch, batch * context)
        for new, batch, context in zip(table["new"], table["batch"], table["context"], strict=True)
    ]
    return table.assign(fitted=[profile.step_time(step) for step in steps])


def describe(residuals: Mapping[str, Any], uncorrected: Mapping[str, Any] | None = None) -> str:
    """The left-out errors of both curves in one line a curve; those without the anchor beside them."""
    lines = []
    for phase, parts in residuals.items():
        beside = f"; without the anchor {_shares(uncorrected[phase])}" if uncorrected and phase in uncorrected else ""
        count = parts["left_out"]["points"]
        lines.append(f"{phase}: relative error on {count} left-out points: {_shares(parts)}{beside}")
    return "\n".join(lines)


def _shares(parts: Mapping[str, Any]) -> str:
    errors = parts["left_out"]
    return ", ".join(f"{label} {100 * errors[label]:.1f} %" for label in ("p50", "p90", "max") if label in errors)
