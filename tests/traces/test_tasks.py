"""A mix of tasks: shares, lengths of each, and shares that change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from traces.requests import to_requests
from traces.synthetic.arrivals import Poisson
from traces.synthetic.lengths import Lognormal
from traces.synthetic.tasks import Task, Tasks


def lognormal(median: float) -> Lognormal:
    return Lognormal(median, 0.1, 1, 1000)


MIX = {"long": Task(3.0, lognormal(200), lognormal(50)), "short": Task(1.0, lognormal(20), lognormal(5))}


def replay(tasks: Tasks, seed: int = 0) -> pd.DataFrame:
    return tasks.replay(*(np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2)))


def test_each_task_has_its_share_and_its_lengths() -> None:
    table = replay(Tasks(10.0, 4000, Poisson(), MIX))
    assert (table["task"] == "long").mean() == pytest.approx(0.75, abs=0.03)
    medians = table.groupby("task")[["prompt_tokens", "output_tokens"]].median()
    assert medians.loc["long"].tolist() == pytest.approx([200, 50], rel=0.03)
    assert medians.loc["short"].tolist() == pytest.approx([20, 5], rel=0.2)
    assert table["arrival"].iloc[-1] == pytest.approx(400, rel=0.1)
    assert [one.task for one in to_requests(table)] == table["task"].tolist()


def test_the_shares_change_at_an_instant_and_nothing_before_it() -> None:
    plain = replay(Tasks(10.0, 4000, Poisson(), MIX))
    shifted = replay(Tasks(10.0, 4000, Poisson(), MIX, {"short": 1.0, "long": 0.0}, shift_at=200.0))
    late = shifted["arrival"] >= 200
    assert (shifted["arrival"] == plain["arrival"]).all()
    assert (shifted["task"] == plain["task"])[~late].all()
    assert (shifted["task"][late] == "short").all()


def test_training_rows_are_of_the_first_shares_and_say_that_nothing_was_measured() -> None:
    tasks = Tasks(10.0, 10, Poisson(), MIX, {"short": 1.0, "long": 0.0}, shift_at=0.0)
    assert (tasks.training()["task"] == "long").mean() == pytest.approx(0.75, abs=0.03)
    assert (replay(tasks)["task"] == "short").all()
    assert tasks.provenance.endswith("the shares 3 of long, 1 of short, from 0 s on 1 of short, 0 of long")
    assert tasks.provenance.startswith("synthetic")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tasks": {}}, "tasks must be one or more"),
        ({"tasks": {"long": Task(0.0, lognormal(2), lognormal(2))}}, "shares of tasks must be"),
        ({"shifted": {"long": 1.0}}, "shifted must be of the tasks long, short, got long"),
        ({"shifted": {"long": -1.0, "short": 1.0}}, "shifted must be"),
        ({"shift_at": -1.0}, "shift_at must be .* got -1"),
        ({"rate": 0.0}, "rate must be positive .* got 0"),
    ],
)
def test_bad_settings_are_refused_by_name_and_value(changed: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Tasks(**{"rate": 1.0, "requests": 10, "arrivals": Poisson(), "tasks": MIX, **changed})
