"""A device whose steps take so long for each token, and so long beside."""

import pytest

from profiles.linear import linear
from sim import Step

GPT_J = {
    "model": "gpt-j-6b",
    "device": "a100",
    "token_seconds": 4.08e-5,
    "step_seconds": 0.01692,
    "memory_bytes": 40 * 2**30,
    "weight_bytes": 2 * 6_050_882_784,
    "kv_bytes_per_token": 458_752,
    "max_model_len": 2048,
    "swap_token_seconds": 4e-5,
}


@pytest.mark.parametrize(
    ("step", "seconds"),
    [
        (Step(384, 73_920), 0.0325872),  # 384 * 0.0408 ms + 16.92 ms
        (Step(0, 0, 10, 4000), 0.017328),
        (Step(374, 70_125, 10, 4000), 0.0325872),  # as many tokens
        (Step(0, 0, 10, 4000, 1000), 0.057328),  # and 1000 copied
    ],
)
def test_a_step_takes_so_long_for_each_token_and_so_long_beside(step, seconds):
    assert linear(**GPT_J).step_time(step) == pytest.approx(seconds, rel=1e-6)


def test_a_decode_step_takes_as_long_whatever_the_context():
    line = linear(**GPT_J).decode_line(10, 4000)
    assert (line.base, line.slope) == (pytest.approx(0.017328, rel=1e-6), 0)


def test_kv_fits_in_nine_tenths_of_the_memory_beside_the_weights():
    # 0.9 * 42,949,672,960 - 12,101,765,568 = 26,552,940,096 bytes, of 458,752 for each token
    assert linear(**GPT_J).kv_capacity_tokens == 57_880


@pytest.mark.parametrize("name", ["token_seconds", "step_seconds", "swap_token_seconds"])
def test_seconds_are_positive(name):
    with pytest.raises(ValueError, match=f"gpt-j-6b on a100: {name} must be positive, got 0"):
        linear(**{**GPT_J, name: 0})
