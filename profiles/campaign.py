"""Measure as many profiles as fit in some minutes, most wanted first."""

from __future__ import annotations

import gc
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import hydra
import numpy as np
from omegaconf import DictConfig
from scipy.optimize import nnls

from profiles import machine
from profiles.campaign_settings import is_finished, model_settings
from profiles.list import left_out_errors
from profiles.measure import begin
from profiles.measuring import models
from profiles.profile import DeviceProfile, kv_capacity, load_path

PROMPT_TOKENS = 256  # of each prompt in a batch: above the mean of the recorded traces
COLUMNS = "{:<16} {:<24} {:>6} {:>7}   {:<20} {:<20}"


class OutOfTimeError(RuntimeError):
    """The minutes are over; what was timed stands in the journal."""


class NoRoomError(RuntimeError):
    """The model, or the KV of its largest point, does not fit in the device's memory."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a model: `finished`, `unfinished`, `skipped` or `failed`, and `why`.

    `seconds` is what it took, None if it was finished before; `share` is the share of its timings that is left.
    """

    state: str
    seconds: float | None = None
    share: float = 1.0
    why: str = ""


@dataclass(slots=True)
class Campaign:
    """Goes through the models of `settings` until `clock` (seconds) reaches `deadline`.

    `costs` holds about how many seconds all the timings of a model take, by its (layers, parameters), for those that
    were built; `building` is the longest that building one took, s.
    """

    settings: Mapping[str, DictConfig]
    deadline: float
    clock: Callable[[], float]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    costs: dict[tuple[int, int], float] = field(default_factory=dict)
    building: float = 0.0

    def run(self) -> None:
        """Measure those that can be finished in the time left, in order; then the others as far as that goes."""
        for model in self.settings:
            others = any(not is_finished(own) for name, own in self.settings.items() if name != model)
            self.outcomes[model] = self.attempt(model, Outcome("unfinished"), whole=others)
        for model, outcome in self.outcomes.items():
            if outcome.state == "unfinished":
                self.outcomes[model] = self.attempt(model, outcome, whole=False)

    def seconds_left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - self.clock()

    def check_time(self) -> None:
        """OutOfTimeError from the deadline on."""
        if self.seconds_left() <= 0:
            raise OutOfTimeError

    def attempt(self, model: str, outcome: Outcome, whole: bool) -> Outcome:
        """Measure one model, or say what came in between; with `whole` only if it can be finished in the time left.

        What became of it so far, `outcome`, stays where there is no time to build it.
        """
        import torch

        own = self.settings[model]
        if is_finished(own):
            return Outcome("finished")
        if self.seconds_left() <= self.building:
            return outcome
        report = Path(own.output).with_suffix(".error.txt")
        report.unlink(missing_ok=True)
        try:
            outcome = self.measured(own, whole)
        except (NoRoomError, torch.OutOfMemoryError) as error:
            outcome = Outcome("skipped", why=f"it does not fit in the memory: {first_line(error)}")
        except Exception as error:  # whatever stops one model, the others are measured, and the command ends with 1
            outcome = Outcome("failed", why=f"{type(error).__name__}: {first_line(error)} (more in {report})")
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(traceback.format_exc(), encoding="utf-8")
        gc.collect()
        torch.cuda.empty_cache()  # the next model is built in the memory of this one
        return outcome

    def measured(self, own: DictConfig, whole: bool) -> Outcome:
        """Build a model, measure it and write its profile, as far as the time left allows."""
        sizes = sizes_of(own.model)
        check_room(own, sizes[1])
        start = self.clock()
        measurement = begin(own)
        own.restart = False  # once
        largest = max(point.batch * (point.computed + point.new) for point in measurement.passes.points)
        check_room(own, sizes[1], measurement.forward.kv_bytes_per_token, largest)
        self.building = max(self.building, self.clock() - start)
        try:
            self.costs[sizes] = measurement.passes.count * measurement.pass_seconds(self.check_time)
            left = self.costs[sizes] * measurement.share_left
            print(f"{own.model}: about {left:.0f} s of timing, {self.seconds_left():.0f} s are left", flush=True)
            if whole and left > self.seconds_left():
                print(f"{own.model} gives way to the others", flush=True)
                return Outcome("unfinished", share=measurement.share_left)
            measurement.write(measurement.run(self.check_time, own.model), "profile campaign")
        except OutOfTimeError:
            return Outcome("unfinished", share=measurement.share_left)
        return Outcome("finished", seconds=self.clock() - start)

    def about(self, model: str) -> float | None:
        """About how many seconds of timing an unfinished model lacks, from those that were built; None if none was.

        Seconds are taken to rise with the layers (an eager pass launches kernels for each) and with the parameters.
        """
        if not self.costs:
            return None
        sizes = sizes_of(model)
        scale = np.array([1.0, 1e-9])
        weights = nnls(np.array(list(self.costs)) * scale, np.array(list(self.costs.values())))[0]
        return self.outcomes[model].share * self.costs.get(sizes, float(np.array(sizes) * scale @ weights))


def first_line(error: BaseException) -> str:
    """The first line of an error's text."""
    return str(error).strip().split("\n")[0]


def sizes_of(model: str) -> tuple[int, int]:
    """Layers, an encoder's and a decoder's together, and parameters of a model."""
    found = models.config(model)
    decoder = getattr(found, "decoder_layers", None) or getattr(found, "num_decoder_layers", None) or 0
    return found.num_hidden_layers + (decoder if found.is_encoder_decoder else 0), models.parameter_count(found)


def check_room(own: DictConfig, parameters: int, kv_bytes_per_token: int = 1, tokens: int = 1) -> None:
    """NoRoomError if the device does not hold the weights and the KV of so many tokens."""
    import torch

    memory = machine.device_facts(own.device)["memory_bytes"]
    weights = parameters * getattr(torch, own.dtype).itemsize
    try:
        room = kv_capacity(memory, weights, kv_bytes_per_token)
    except ValueError as error:
        raise NoRoomError(str(error)) from error
    if room < tokens:
        raise NoRoomError(
            f"weights of {weights:,} bytes leave room for {room:,} tokens, its largest point has {tokens:,}"
        )


def summary(campaign: Campaign, folder: Path) -> str:
    """What was written, how it is used, and what is left or went wrong."""
    lines = [COLUMNS.format("model", "device", "points", "seconds", "prefill, left out", "decode, left out").rstrip()]
    states: dict[str, list[str]] = {"finished": [], "unfinished": [], "skipped": [], "failed": []}
    for model, outcome in campaign.outcomes.items():
        states[outcome.state].append(model)
    profiles = {model: load_path(campaign.settings[model].output) for model in states["finished"]}
    lines += [row(profile, campaign.outcomes[model]) for model, profile in profiles.items()]
    lines.append(
        f"folder: {folder}; left-out errors are P50 / P90 / max; seconds of this command, - if finished before"
    )
    for state in ("skipped", "failed"):
        lines += [f"{state}: {model}: {campaign.outcomes[model].why}" for model in states[state]]
    if states["unfinished"]:
        seconds = {model: campaign.about(model) for model in states["unfinished"]}
        parts = [f"{model} ({'?' if left is None else f'{left:.0f}'} s)" for model, left in seconds.items()]
        lines.append(f"left, and about how much timing: {', '.join(parts)}; the same command goes on")
    if profiles:
        lines.append(use(next(iter(profiles.values())), folder))
    return "\n".join(lines)


def use(profile: DeviceProfile, folder: Path) -> str:
    """A command that replays a trace by a profile, in batches of as many jobs as it was measured for."""
    batch = max(1, min(profile.decode.knots[-1], profile.prefill.knots[-1] // PROMPT_TOKENS))
    return (
        f"use one: tokenyard system=fifo load=0.5 calibration.batch_size={batch} model={profile.model} "
        f"'~cluster.devices.cpu' cluster.devices.gpu.profile.device={profile.device} "
        f"cluster.devices.gpu.profile.folder={folder.resolve()}"
    )


def row(profile: DeviceProfile, outcome: Outcome) -> str:
    """One finished profile in the table."""
    points = sum(part["points"] for parts in profile.provenance["residuals"].values() for part in parts.values())
    seconds = "-" if outcome.seconds is None else f"{outcome.seconds:.0f}"
    errors = (left_out_errors(profile, phase) for phase in ("prefill", "decode"))
    return COLUMNS.format(profile.model, profile.device, points, seconds, *errors).rstrip()


def run(config: DictConfig, clock: Callable[[], float] = time.monotonic) -> Campaign:
    """The campaign of `config` (conf/campaign.yaml), when it is over; ValueError for what cannot be measured."""
    start = clock()
    settings = model_settings(config)
    campaign = Campaign(settings, start + 60 * config.minutes, clock)
    campaign.run()
    print(summary(campaign, Path(config.output)), flush=True)
    return campaign


@hydra.main(version_base="1.3", config_path="conf", config_name="campaign")
def main(config: DictConfig) -> None:
    """The command line; see conf/campaign.yaml."""
    try:
        campaign = run(config)
    except (ValueError, OSError) as error:
        sys.exit(f"tokenyard profile campaign: {error}")
    except KeyboardInterrupt:
        sys.exit("tokenyard profile campaign: stopped; the same command goes on")
    if any(outcome.state == "failed" for outcome in campaign.outcomes.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
