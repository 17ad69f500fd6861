"""List the profiles that are available, with their errors: python -m profiles.list"""

from __future__ import annotations

from profiles.profile import DeviceProfile, available, load

COLUMNS = "{:<14} {:<10} {:<9} {:>7}   {:<22} {:<22}"


def left_out_errors(profile: DeviceProfile, phase: str) -> str:
    """P50 / P90 / largest relative error of one curve on the points left out of its fit."""
    errors = profile.provenance["residuals"][phase]["left_out"]
    return " / ".join(f"{100 * errors[label]:.1f}" for label in ("p50", "p90", "max")) + " %"


def main() -> None:
    """Print one line a profile."""
    print("left-out errors are P50 / P90 / max")
    print(COLUMNS.format("model", "device", "kind", "samples", "prefill, left out", "decode, left out").rstrip())
    for profile in (load(*pair) for pair in available()):
        errors = (left_out_errors(profile, phase) for phase in ("prefill", "decode"))
        samples = profile.provenance["samples"]
        print(COLUMNS.format(profile.model, profile.device, profile.kind, samples, *errors).rstrip())


if __name__ == "__main__":
    main()
