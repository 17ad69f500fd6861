"""The first layers of a model take a share of its time, and the head and the host theirs whole."""

import pytest

from profiles.operators.early_exit import early_exit
from profiles.profile import load


def test_half_of_the_layers_take_more_than_half_of_the_time() -> None:
    whole = load("smollm2-135m", "t4_eager").decode_line(1, 128)
    times = [early_exit("smollm2-135m", "t4_eager", layers).decode_line(1, 128).base for layers in (10, 20, 30)]
    assert times[2] == pytest.approx(whole.base)
    assert times[2] - times[1] == pytest.approx(times[1] - times[0])  # each layer adds as much
    assert times[1] / whole.base > 20 / 30


@pytest.mark.parametrize(
    ("model", "device", "layers", "message"),
    [
        ("smollm2-135m", "t4_eager", 31, "layers must be from 1 to 30"),
        ("smollm2-135m", "t4_eager", 0, "layers must be from 1 to 30"),
        ("smollm2-135m", "cpu", 10, "needs an analytic profile"),
        ("t5-small", "t4_eager", 3, "a model that only decodes"),
    ],
)
def test_what_has_no_share_is_refused(model: str, device: str, layers: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        early_exit(model, device, layers)
