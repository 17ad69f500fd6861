"""Synthetic requests with calls have the statistics that their class is published or measured to have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from traces.calls import context
from traces.formats import infercept
from traces.requests import to_requests
from traces.synthetic.augmented import CallClass, Classes, Count, Seconds

CONF = Path(__file__).parents[2] / "experiments" / "conf"
TABLE1 = {  # [S] of INFERCEPT: seconds and calls, each mean and second number, and tokens of the context, mean
    "math": (9e-5, 6e-5, 3.75, 1.3, 1422),
    "qa": (0.69, 0.17, 2.52, 1.73, 1846),
    "ve": (0.09, 0.014, 28.18, 15.2, 2185),
    "chatbot": (28.6, 15.6, 4.45, 1.96, 753),
    "image": (20.03, 7.8, 6.91, 3.93, 1247),
    "tts": (17.24, 7.6, 6.91, 3.93, 1251),
}


def build(*settings: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["trace=augmented", *settings])
    return instantiate(OmegaConf.create(OmegaConf.to_yaml(cfg.trace, resolve=True)), _convert_="all")


def replay(source: Any, seed: int = 1) -> pd.DataFrame:
    return source.replay(*(np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2)))


def flat(rows: pd.DataFrame, cell: int) -> np.ndarray:
    return np.array([pause[cell] for pauses in rows["pauses"] for pause in pauses])


def segments(rows: pd.DataFrame) -> np.ndarray:
    ends = [
        [0, *(pause[0] for pause in pauses), output]
        for pauses, output in zip(rows["pauses"], rows["output_tokens"], strict=True)
    ]
    return np.concatenate([np.diff(one) for one in ends])


def near(found: np.ndarray, mean: float, sd: float, what: str) -> None:
    """Within four standard errors of a sample so large, of the mean and (by its own fourth moment) of the variance."""
    deviations = (found - found.mean()) ** 2
    assert found.mean() == pytest.approx(mean, abs=4 * max(sd, 1e-12) / np.sqrt(len(found)) + 1e-9), what
    assert found.var() == pytest.approx(sd**2, abs=4 * deviations.std() / np.sqrt(len(found)) + 1e-15), what


@pytest.mark.parametrize("origin", ["infercept_file", "infercept_table1"])
def test_each_class_has_the_figures_of_its_origin(origin: str) -> None:
    source = build(f"trace/calls={origin}", "trace.max_context=null", "trace.requests=6000")
    table = replay(source)
    shares = {name: one.share for name, one in source.calls.classes.items()}
    assert list(shares) == list(TABLE1)
    for name, one in source.calls.classes.items():
        rows = table[table["task"] == name]
        share = one.share / sum(shares.values())
        assert len(rows) == pytest.approx(6000 * share, abs=4 * np.sqrt(6000 * share * (1 - share)))
        for what, found in (
            ("prompt", rows["prompt_tokens"].to_numpy()),
            ("calls", rows["pauses"].map(len).to_numpy()),
            ("segment", segments(rows)),
            ("seconds", flat(rows, 1)),
            ("returned", flat(rows, 2)),
        ):
            part = getattr(one, what)
            near(found, part.mean, part.sd, f"{name} {what}")
            assert part.least <= found.min() <= found.max() <= part.most
        if origin == "infercept_table1":
            seconds, seconds_sd, calls, calls_sd, tokens = TABLE1[name]
            assert (one.seconds.mean, one.seconds.sd, one.calls.mean, one.calls.sd) == (
                seconds,
                seconds_sd,
                calls,
                calls_sd,
            )
            found = context(rows)
            assert found.mean() == pytest.approx(tokens, abs=4 * found.std() / np.sqrt(len(rows)) + 1), name
    assert source.provenance.startswith(
        "synthetic: Poisson() at 2 requests/s, calls of math, qa, ve, chatbot, image, tts by"
    )


def test_the_figures_of_the_file_are_those_of_the_file(shared_data: Path) -> None:
    table = infercept.load(shared_data / "traces" / "infercept_multi.json.gz")
    for name, one in build().calls.classes.items():
        rows = table[table["task"] == name]
        assert one.share == len(rows)
        for what, found in (
            ("prompt", rows["prompt_tokens"]),
            ("calls", rows["pauses"].map(len)),
            ("segment", segments(rows)),
            ("seconds", flat(rows, 1)),
            ("returned", flat(rows, 2)),
        ):
            part = getattr(one, what)
            assert (np.mean(found), np.std(found)) == pytest.approx((part.mean, part.sd), rel=0.005), f"{name} {what}"


def test_answers_end_at_the_longest_context_and_are_counted() -> None:
    whole, table = (replay(build(f"trace.max_context={longest}", "trace.requests=400")) for longest in ("null", 2048))
    assert context(table).max() == 2048
    assert table.attrs["cut"] == (context(table) < context(whole)).sum() > 0
    assert whole.attrs["cut"] == 0
    assert table["prompt_tokens"].equals(whole["prompt_tokens"])
    assert len(to_requests(table)) == 400
    with pytest.raises(
        InstantiationException, match="max_context must be above the longest prompt, 1980 tokens, got 1980"
    ):
        build("trace.max_context=1980")


def test_seeds_and_arrivals_are_those_of_any_synthetic_trace() -> None:
    gamma = ("trace.arrivals._target_=traces.synthetic.arrivals.Gamma", "+trace.arrivals.cv=3")
    one, again, other = (replay(build("trace.requests=50", *more)) for more in ((), (), gamma))
    assert one.equals(again)
    assert one.drop(columns="arrival").equals(other.drop(columns="arrival"))
    assert not one["arrival"].equals(other["arrival"])
    training = build("trace.training_requests=30").training()
    assert len(training) == 30
    assert (training["arrival"] == 0).all()


def test_the_ends_alone_and_a_binomial_are_the_limits() -> None:
    rng = np.random.default_rng(0)
    assert set(Count(7, 0, 1, 9).draw(5, rng)) == {7}
    assert set(Count(0.5, 0.5, 0, 1).draw(50, rng)) == {0, 1}
    for part in (Count(3, 1.0, 1, 5), Count(3, 1.9, 1, 5), Seconds(1.0, 0.99, 0, 2), Seconds(3.0, 0.001, 0, 9)):
        near(part.draw(20_000, rng), part.mean, part.sd, str(part))


@pytest.mark.parametrize(
    ("part", "settings", "said"),
    [
        (Count, (3, 2.0, 1, 5), "no whole numbers from 1 to 5 have a mean of 3 and a standard deviation of 2.0"),
        (Count, (3, 0.9, 1, 5), "and a standard deviation of 0.9"),
        (Count, (3.5, 0, 1, 5), "a mean of 3.5 and a standard deviation of 0"),
        (Count, (6, 1, 1, 5), "a mean of 6"),
        (Count, (3, 1, 1.5, 5), "whole numbers have whole bounds, got 1.5 and 5"),
        (Count, (3, 1, -1, 5), "least must be finite and not negative, got -1"),
        (Seconds, (1.0, 1.0, 0, 2), "no times from 0 to 2 have a mean of 1.0 and a standard deviation of 1.0"),
        (Seconds, (1.0, 0.0, 0, 2), "a standard deviation of 0.0"),
    ],
)
def test_figures_that_nothing_has_are_refused(part: Any, settings: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        part(*settings)


def test_a_class_needs_a_share_and_tokens() -> None:
    one, none = Count(1, 0, 1, 1), Count(0, 0, 0, 1)
    with pytest.raises(ValueError, match="share must be positive"):
        CallClass(0, one, one, one, Seconds(1, 0.1, 0, 2), one)
    with pytest.raises(ValueError, match="a segment has at least 1 token, got least=0"):
        CallClass(1, one, one, none, Seconds(1, 0.1, 0, 2), one)
    assert str(Classes("made", {"a": CallClass(1, one, none, one, Seconds(1, 0.1, 0, 2), one)})) == "calls of a by made"
