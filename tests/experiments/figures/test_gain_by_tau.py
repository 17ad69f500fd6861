"""The figure of gain against tau: shares kept are paired by seed, the baseline is needed, other loads are refused."""

from __future__ import annotations

import pandas as pd
import pytest

from experiments.figures.gain_by_tau import draw, points

FIFO = {0: 10.0, 1: 20.0, 2: 12.0}
ORACLE = {0: 6.0, 1: 10.0, 2: 8.0}


def made(**predictors: tuple[float, float]) -> pd.DataFrame:
    """Collected runs in which each predictor (share of the oracle's gain, tau) keeps just that share on every seed."""
    rows = [("fifo", "oracle", seed, FIFO[seed], 1.0) for seed in FIFO]
    for name, (share, tau) in {"oracle": (1.0, 1.0), **predictors}.items():
        rows += [("sjf", name, seed, FIFO[seed] - share * (FIFO[seed] - ORACLE[seed]), tau) for seed in FIFO]
    table = pd.DataFrame(rows, columns=["policy", "predictor", "seed", "response_time_mean", "tau"])
    table.insert(3, "run", [f"{number:016x}" for number in range(len(table))])
    return table.assign(trace="made", **{"provenance.trace": "synthetic: made up"})


def test_the_share_kept_is_paired_by_seed() -> None:
    found = points(made(half=(0.5, 0.4), worse=(-0.25, -0.1))).set_index("predictor")
    assert list(found.index) == ["oracle", "half", "worse"]
    assert found.loc["half", "kept"].mean == pytest.approx(0.5)
    assert not found.loc["half", "kept"].half_width > 1e-12
    assert found.loc["half", "gain"].mean == pytest.approx(0.5 * (4 + 10 + 4) / 3)
    assert found.loc["worse", "kept"].mean == pytest.approx(-0.25)
    assert found.loc["worse", "tau"].mean == pytest.approx(-0.1)


def test_a_setting_of_the_predictor_that_is_swept_is_in_its_name() -> None:
    table = made(noise=(0.5, 0.4))
    louder = table[table["predictor"] == "noise"].assign(tau=0.2)
    louder["run"] = [f"f{number}" for number in range(len(louder))]
    both = pd.concat([table, louder], ignore_index=True)
    sigma = [0.5 if name == "noise" else None for name in table["predictor"]] + [1.0] * len(louder)
    both.insert(3, "predictor.sigma", sigma)
    assert set(points(both)["predictor"]) == {"oracle", "noise sigma=0.5", "noise sigma=1.0"}


@pytest.mark.parametrize(
    "lost", [("fifo", None, "compare with"), ("sjf", "oracle", "needs runs with predictor=oracle")]
)
def test_without_baseline_or_oracle_it_says_what_is_missing(lost: tuple[str, str | None, str]) -> None:
    policy, predictor, said = lost
    table = made(half=(0.5, 0.4))
    gone = (table["policy"] == policy) & (table["predictor"].eq(predictor) if predictor else True)
    with pytest.raises(ValueError, match=said):
        points(table[~gone])


def test_a_seed_without_its_baseline_is_refused() -> None:
    table = made(half=(0.5, 0.4))
    with pytest.raises(ValueError, match="not every seed has an oracle and a fifo run"):
        points(table[~((table["policy"] == "fifo") & (table["seed"] == 1))])


def test_runs_of_two_loads_are_refused() -> None:
    table = made()
    table.insert(3, "trace.rate", [float(row % 2) for row in range(len(table))])
    with pytest.raises(ValueError, match=r"differ in trace.rate too"):
        points(table)


def test_every_predictor_is_named_in_the_order_of_its_share_and_the_one_without_a_tau_says_so() -> None:
    figure = draw(points(made(half=(0.5, 0.4), flat=(0.1, float("nan")))), "a caption")
    kept, taus = figure.axes
    assert [label.get_text() for label in kept.get_yticklabels()] == ["oracle", "half", "flat"]
    assert [text.get_text() for text in taus.texts] == ["none: it says the same of all"]
    marks = [line.get_xdata()[0] for line in kept.lines if line.get_marker() == "o"]
    assert marks == pytest.approx([100, 50, 10])


def test_a_seed_whose_runs_replayed_different_requests_is_refused() -> None:
    table = made(half=(0.5, 0.4))
    alike = table.assign(**{"inputs.replay": table["seed"].astype(str)})
    assert len(points(alike)) == 2
    alike.loc[alike["predictor"] == "half", "inputs.replay"] = "less the rows for training"
    with pytest.raises(
        ValueError, match=r"not paired: the runs of a seed replayed different requests; .*training_share"
    ):
        points(alike)
