"""List the profiles that are available, with their errors."""

from __future__ import annotations

import argparse
import sys

from profiles.profile import DeviceProfile, available, load

COLUMNS = "{:<16} {:<22} {:<9} {:<7} {:>7}   {:<20} {:<20}"


def left_out_errors(profile: DeviceProfile, phase: str) -> str:
    """P50 / P90 / largest relative error of one curve on the points left out of its fit, or that there were none."""
    errors = profile.provenance["residuals"][phase]["left_out"]
    if "p50" not in errors:
        return "none left out"
    return " / ".join(f"{100 * errors[label]:.1f}" for label in ("p50", "p90", "max")) + " %"


def line(profile: DeviceProfile) -> str:
    """One profile: model, device, kind, engine, number of samples, and the left-out errors of both phases."""
    errors = (left_out_errors(profile, phase) for phase in ("prefill", "decode"))
    facts = profile.model, profile.device, profile.kind, profile.provenance.get("engine", "")
    return COLUMNS.format(*facts, profile.provenance["samples"], *errors).rstrip()


def main(arguments: list[str] | None = None) -> None:
    """Print one line a profile."""
    argparse.ArgumentParser(
        description=f"{__doc__} A run takes one by cluster.devices.gpu.profile.model=MODEL and .device=DEVICE.",
        epilog="to measure one: tokenyard profile measure --help",
    ).parse_args(arguments)
    print("left-out errors are P50 / P90 / max; an analytic profile's are its curves' alone (profile analytic-error)")
    titles = "model", "device", "kind", "engine", "samples", "prefill, left out", "decode, left out"
    print(COLUMNS.format(*titles).rstrip())
    for pair in available():
        print(line(load(*pair)))


if __name__ == "__main__":
    sys.exit("this is now: tokenyard profile list")
