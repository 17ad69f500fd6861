"""The simulator beside a real engine on this machine: one trace, replayed by both.

    tokenyard validate engine=hf model=gpt2 trace=short_dialogue rate=[2,3] --json

Takes the settings of conf/validate.yaml (`--help`). First the profile is measured, by the engine that will serve;
then each trace is replayed in real time under each policy, `repeats` times, the first repeat of all before the second
of any, so that what the machine does beside hits all alike. `experiments.validation` compares the
two, and says what each policy brought.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from experiments.validation import report
from experiments.validation.engines import Unavailable
from experiments.validation.session import Validation

LISTS = ("rate", "load", "policies")  # settings of which a command line may give several, separated by commas


def validate(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Measure, serve, simulate, compare; print the comparison and draw it."""
    validation = Validation(cfg, overrides)
    validation.serve()
    report.write(validation)


def arguments(given: Sequence[str]) -> list[str]:
    """A command line as Hydra takes it: --json is json=true, rate=2,3 a list, and what holds an = is quoted."""
    words = []
    for word in given:
        name, _, value = word.partition("=")
        if word == "--json":
            word = "json=true"
        elif name in LISTS and value and value[0] not in "[n":
            word = f"{name}=[{','.join(map(quoted, value.split(',')))}]"
        elif name == "measure" and value != "null":
            word = f"{name}={quoted(value)}"
        words.append(word)
    return words


def quoted(value: str) -> str:
    """A value that Hydra would not take bare, in quotes."""
    return f"'{value}'" if "=" in value and value[0] not in "'\"" else value


@hydra.main(version_base="1.3", config_path="../conf", config_name="validate")
def _app(cfg: DictConfig) -> None:
    try:
        validate(cfg, list(HydraConfig.get().overrides.task))
    except BrokenPipeError:  # whoever reads the output has read enough
        raise
    except (ValueError, OSError, ModuleNotFoundError, Unavailable) as error:
        sys.exit(f"tokenyard validate: {error}")


def main() -> None:
    """The command line; what is wrong is said in one line."""
    sys.argv[1:] = arguments(sys.argv[1:])
    try:
        _app()
    except KeyboardInterrupt:
        print("interrupted: real runs that are complete stay, the same command does the rest", file=sys.stderr)
        raise SystemExit(130) from None
