"""Whether a run of a command is what its table is to take differences from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from experiments.identity.of_run import IRRELEVANT
from experiments.settings.composer import Job
from experiments.settings.wording import did_you_mean, one_line
from experiments.tables.labels import part_name
from experiments.tables.reference import Reference


class References:
    """The runs of a command as its table will call them, and the references that were given for it."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._given: dict[str, None] = {}

    def add(self, job: Job) -> None:
        """Note a run, and what it was given as the reference."""
        self._given.update((str(one.value), None) for one in job.given if one.key == "reference" and one.value)
        if not self._given:
            return
        config = OmegaConf.to_container(job.cfg, resolve=False)
        row: dict[str, Any] = {
            group: part_name(group, option, config)  # type: ignore[arg-type]
            for group, option in job.choices.items()
            if option is not None and group not in IRRELEVANT
        }
        keys = [one.key for one in job.given if not one.group and one.key.split(".")[0] not in IRRELEVANT]
        for key in (*keys, "model", "seed"):
            if not key.endswith("._target_"):
                value = OmegaConf.select(job.cfg, key, throw_on_resolution_failure=False, throw_on_missing=False)
                row[key] = str(value) if OmegaConf.is_config(value) else value
        self._rows.append(row)

    def problems(self) -> list[str]:
        """A line for each reference of which no run is."""
        table = pd.DataFrame(self._rows).assign(run="")
        return [line for text in self._given if (line := _problem(Reference.of(text), table))]


def _problem(reference: Reference, table: pd.DataFrame) -> str:
    labelled = reference.labelled(table)
    if not (absent := reference.absent(labelled)):
        return ""
    known: Sequence[str] = [str(one) for one in labelled["policy"].unique()]
    wanted = reference.value
    if reference.axis:
        swept = reference.axis in labelled
        known = [str(one) for one in (labelled[reference.axis].unique() if swept else labelled.columns)]
        wanted = wanted if swept else reference.axis
    return one_line(
        f"reference={reference} is no run of this command: {absent.partition('; ')[2]}{did_you_mean(wanted, known)}"
    )
