"""The profile of a model's first layers, which leave by its own last normalization and head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from profiles.operators.architecture import architecture
from profiles.operators.decoder import pass_seconds
from profiles.operators.roofline import Device, Launching, Roofline
from profiles.point import decode_point
from profiles.profile import DeviceProfile, load, scaled

CONTEXT = 128  # tokens before the one that is counted


def early_exit(model: str, device: str, layers: int, folder: str | Path | None = None) -> DeviceProfile:
    """What the first `layers` of `model` take on `device`: a share of what all of them take, the same for every pass.

    The share is that of a decode step of one job by the datasheet and the launching of the profile, which must be
    analytic; ValueError for another, for an encoder-decoder, and for more layers than there are.
    """
    whole, sizes = load(model, device, folder), architecture(model)
    if whole.kind != "analytic" or sizes.encoder_layers:
        raise ValueError(f"{model} on {device}: an early exit needs an analytic profile of a model that only decodes")
    if not 1 <= layers <= sizes.layers:
        raise ValueError(f"layers must be from 1 to {sizes.layers}, those of {model}, got {layers}")
    told = whole.provenance
    times = Roofline(Device(**told["datasheet"]), told["dtype"], Launching(**told["launching"]))
    point, host = decode_point(1, CONTEXT), times.launching.host_seconds
    share = pass_seconds(replace(sizes, layers=layers), times, point, host) / pass_seconds(sizes, times, point, host)
    return scaled(model, device, share, f"{device}, {layers} layers", folder)
