"""What answers are worth that have a deadline, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from policies.reward.deadlines import Deadlines

QUALITY = {"a": {"small": 0.25, "large": 0.75}, "b": {"small": 0.5, "large": 0.5}}


@pytest.mark.parametrize(
    ("seconds", "hard", "soft"),
    [(0.0, 0.75, 0.75), (2.0, 0.75, 0.75), (2.5, 0.0, 0.5625), (4.0, 0.0, 0.0), (9.0, 0.0, 0.0)],
)
def test_the_worth_is_gone_at_once_or_on_a_straight_line(seconds: float, hard: float, soft: float) -> None:
    assert Deadlines(QUALITY, hard=2.0).reward("a", "large", seconds) == pytest.approx(hard)
    assert Deadlines(QUALITY, hard=2.0, soft=4.0).reward("a", "large", seconds) == pytest.approx(soft)


@pytest.mark.parametrize("soft", [None, 4.0])
def test_no_answer_is_worth_nothing(soft: float | None) -> None:
    deadlines = Deadlines(QUALITY, hard=2.0, soft=soft)
    assert [deadlines.reward("a", "small", seconds) for seconds in (math.nan, math.inf)] == [0.0, 0.0]
    assert deadlines.rewards(["b"], [""], np.array([math.nan])).tolist() == [0.0]


def test_several_at_once_are_each_as_alone() -> None:
    deadlines = Deadlines(QUALITY, hard=2.0, soft=4.0)
    tasks, models, seconds = ["a", "b", "a"], ["small", "large", "large"], np.array([1.0, 3.0, 5.0])
    alone = [deadlines.reward(*one) for one in zip(tasks, models, seconds.tolist(), strict=True)]
    assert deadlines.rewards(tasks, models, seconds).tolist() == alone == [0.25, 0.25, 0.0]
    assert (deadlines.peak("a"), deadlines.peak("b")) == (0.75, 0.5)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hard": 0.0}, "hard must be positive .* got 0"),
        ({"window": math.inf}, "window must be positive .* got inf"),
        ({"soft": 2.0}, "soft must be later than hard=2, got 2"),
        ({"quality": {}}, "quality must name tasks"),
        ({"quality": {"a": {}}}, "quality must name tasks"),
        ({"quality": {"a": {"small": -1.0}}}, "quality of small for a must be finite and from 0, got -1"),
        ({"quality": {"a": {"small": 0.0}}}, "quality for a must be above 0"),
    ],
)
def test_bad_settings_are_refused_by_name_and_value(changed: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Deadlines(**{"quality": QUALITY, "hard": 2.0, **changed})


def test_a_task_or_model_of_no_quality_is_named() -> None:
    deadlines = Deadlines(QUALITY, hard=2.0)
    with pytest.raises(ValueError, match="no quality of the task 'c'; there are a, b"):
        deadlines.reward("c", "small", 1.0)
    with pytest.raises(ValueError, match="no quality of the model 'huge' for b; there are small, large"):
        deadlines.rewards(["b"], ["huge"], np.array([1.0]))
    with pytest.raises(ValueError, match="no quality of the task 'c'"):
        deadlines.peak("c")
