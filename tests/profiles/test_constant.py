"""A device whose every step takes as long."""

import pytest

from profiles.constant import constant
from sim import Step


@pytest.mark.parametrize(
    "step",
    [Step(5000, 12_502_500), Step(0, 0, 1, 40), Step(0, 0, 300, 90_000), Step(90, 4095, 8, 2000, 50)],
)
def test_every_step_takes_as_long(step):
    assert constant(0.02, 1 << 20, 4096).step_time(step) == pytest.approx(0.02)


def test_a_step_takes_some_time():
    with pytest.raises(ValueError, match="seconds must be positive, got 0"):
        constant(0, 1 << 20, 4096)
