"""Put a fitted profile on disk: the json, the samples that it was fitted to, and a picture of both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from profiles.fit import Fitted, fit, relative_errors, rounded
from profiles.plot import plot
from profiles.profile import DeviceProfile, save
from sim.step import Step, attended_tokens


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

    `facts` are the other fields of `DeviceProfile`; `provenance` gains the samples' number and hash, the seed of the
    left-out choice and the residuals. `mixed` are measured steps that no curve was fitted to (new, batch, context,
    seconds): a prompt of `new` tokens prefilled while `batch` jobs of `context` tokens decode.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fitted = fit(f"{model} on {device}", samples, seed)
    table_path = path.with_suffix(".samples.parquet")
    samples.to_parquet(table_path, index=False)
    complete = {
        **provenance,
        "samples": len(samples),
        "samples_sha256": hashlib.sha256(table_path.read_bytes()).hexdigest(),
        "left_out_seed": seed,
        "residuals": fitted.residuals,
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


def mixed_table(profile: DeviceProfile, mixed: pd.DataFrame) -> pd.DataFrame:
    """`mixed`, a row a kind of step: new, batch, context, and the median measured and fitted seconds."""
    table = mixed.groupby(["new", "batch", "context"], as_index=False).agg(median=("seconds", "median"))
    steps = [
        Step(new, attended_tokens(new, 0), batch, batch * context)
        for new, batch, context in zip(table["new"], table["batch"], table["context"], strict=True)
    ]
    return table.assign(fitted=[profile.step_time(step) for step in steps])


def describe(residuals: Mapping[str, Any]) -> str:
    """The left-out errors of both curves in one line a curve."""
    lines = []
    for phase, parts in residuals.items():
        errors = parts["left_out"]
        shares = ", ".join(f"{label} {100 * errors[label]:.1f} %" for label in ("p50", "p90", "max") if label in errors)
        lines.append(f"{phase}: relative error on {errors['points']} left-out points: {shares}")
    return "\n".join(lines)
