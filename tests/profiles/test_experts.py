"""Mixtures of experts: how many are activated, what a layer takes by hand, what ranks exchange, the real table."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from profiles.experts import Experts
from profiles.kernel_tables import nest, read_rows
from sim import Link
from sim.step import Step
from tests.conftest import ROOT
from tests.profiles.test_kernel import FACTS, load, write

# 10 us for each activated expert, 1 us a token: 8 experts, 2 a token
TABLE = "tokens,activated_experts,time_us\n" + "".join(
    f"{tokens},{active},{10 * active + tokens}\n"
    for tokens in (1, 2, 4, 16, 64)
    for active in (2, 4, 8)
    if active <= 2 * tokens
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "moe.csv"
    path.write_text(TABLE)
    return path


def by_hand(tokens: float, ranks: int = 1) -> float:
    return 10 * 8 / ranks * (1 - 0.75 ** (tokens * ranks)) + tokens


@pytest.mark.parametrize(("count", "per_token", "tokens"), [(8, 2, 1), (8, 2, 3), (128, 8, 16), (128, 8, 64)])
def test_as_many_are_activated_as_when_each_token_draws(count: int, per_token: int, tokens: int) -> None:
    rng = np.random.default_rng(0)
    draws = rng.random((4000, tokens, count)).argpartition(per_token - 1, axis=2)[..., :per_token]
    seen = np.mean([np.unique(draw).size for draw in draws])
    assert Experts("", count, per_token).activated(tokens) == pytest.approx(seen, rel=0.01)


def test_a_layer_takes_what_its_tokens_and_its_activated_experts_take(table: Path) -> None:
    grid = Experts(table, 8, 2).grid()
    for tokens in (1, 2, 4, 16, 64):
        assert grid.at(tokens) == pytest.approx(by_hand(tokens) * 1e-6)
    assert grid.at(3) == pytest.approx(by_hand(3) * 1e-6, rel=0.02)  # of the share of those that may be active
    assert grid.at(32) == pytest.approx(by_hand(32) * 1e-6, rel=0.02)


def test_beyond_the_table_is_an_error_that_names_the_value(table: Path) -> None:
    with pytest.raises(ValueError, match="tokens is 65, and was measured up to 64"):
        Experts(table, 8, 2).grid().at(65)
    with pytest.raises(
        ValueError, match=r"moe\.csv: activated_experts is .*measured up to 8, of 16 experts, 2 a token"
    ):
        Experts(table, 16, 2).grid()


def test_a_rank_has_its_share_of_the_experts_and_everybody_s_tokens(table: Path) -> None:
    link = Link(latency=3e-6, bytes_per_second=1e9)
    experts = Experts(table, 8, 2, ranks=2, hidden=500, link=link)
    assert experts.activated(3) == pytest.approx(4 * (1 - 0.75**6))
    exchange = 2 * (3e-6 + 16 * 500 * 2 / 1e9)
    assert experts.grid().at(16) == pytest.approx(by_hand(16, 2) * 1e-6 + exchange)
    assert Experts(table, 8, 2, hidden=500, link=link).exchange_seconds(16) == 0


def test_a_step_has_them_in_each_layer(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    folder.mkdir()
    paths = write(folder)
    plain = load(**paths, **FACTS)
    mixture = load(**paths, **FACTS, experts=Experts(table, 8, 2))
    for step, tokens in ((Step(0, 0, 4, 64), 4), (Step(15, 120, 1, 16, prefill_jobs=1), 16)):
        more = mixture.step_time(step) - plain.step_time(step)
        assert more == pytest.approx(FACTS["layers"] * by_hand(tokens) * 1e-6)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"per_token": 9}, "experts.per_token must be from 1 to count=8, got 9"),
        ({"ranks": 3}, "experts.count=8 must divide among the ranks, got 3"),
        ({"ranks": 2}, "2 ranks exchange tokens at every layer, and nothing says how long that takes: experts.link is"),
    ],
)
def test_what_cannot_be_is_named(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Experts("moe.csv", **{"count": 8, "per_token": 2, **settings})


def test_of_the_real_table_the_expected_number_stands_for_the_draws() -> None:
    folder = Path(os.environ.get("TOKENYARD_DATA") or ROOT.parent / "shared" / "data") / "measured"
    path = folder / "rtx-pro-6000_qwen3-30b-a3b_moe.csv.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    axes = ("tokens", "activated_experts")
    measured, grid = nest(sorted(read_rows(path, "", axes)[""]), axes), Experts(path, 128, 8).grid()
    rng = np.random.default_rng(0)
    for tokens in (2, 4, 16, 64):
        draws = rng.random((1000, tokens, 128)).argpartition(7, axis=2)[..., :8]
        seconds = np.mean([measured.at(tokens, np.unique(draw).size) for draw in draws])
        assert grid.at(tokens) == pytest.approx(seconds, rel=0.005)


def test_ranks_that_step_together_compute_what_all_have(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    folder.mkdir()
    experts = Experts(table, 8, 2, ranks=2, hidden=500, link=Link(3e-6, 1e9))
    profile, grid = load(**write(folder), **FACTS, experts=experts), experts.grid()
    for step, tokens in ((Step(0, 0, 2, 64), 2), (Step(15, 120, 1, 16, prefill_jobs=1), 16)):
        more = profile.step_time(step._replace(rank_tokens=8.0)) - profile.step_time(step)
        assert more == pytest.approx(FACTS["layers"] * (grid.at(8) - grid.at(tokens)))
