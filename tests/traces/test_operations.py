"""What operations do to a trace: they keep it a trace, count what is lost, and never tear a prefix apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.run.inputs import read_trace
from tests.conftest import ROOT
from traces.calls import Plain, ended
from traces.combined import Mixed, Paired, Transformed, mix, pair_text
from traces.operations import Clip, Refuse, Rows, Stretch, Thin, ThinSessions, ToRate, Upsample, Window, counted
from traces.requests import to_requests
from traces.schema import check
from traces.synthetic.arrivals import Poisson
from traces.synthetic.dialogue import SyntheticDialogue
from traces.synthetic.lengths import Independent, Lognormal
from traces.synthetic.sessions import Exponential, MultiTurn, Pace, Stamped, Waiting
from traces.synthetic.workload import Synthetic

CONF = ROOT / "experiments" / "conf"
OPEN, CLOSED = Stamped(Exponential(3.0)), Waiting(Exponential(3.0))
LENGTHS = Independent(Lognormal(30, 0.6), Lognormal(40, 0.6))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def trace(rows: int = 6, **columns: Any) -> pd.DataFrame:
    numbers = np.arange(rows)
    made = {"arrival": numbers * 2.0, "prompt_tokens": numbers * 10 + 10, "output_tokens": numbers + 5}
    return check(pd.DataFrame({**made, **columns}), "made")


def chats(requests: int = 80, pace: Pace = OPEN, seed: int = 0) -> pd.DataFrame:
    source = MultiTurn(4.0, requests, Poisson(), pace, LENGTHS, turns=4.0, system_tokens=32)
    return source.replay(rng(seed), rng(seed + 1))


@dataclass(frozen=True)
class Made:
    """A source of one table."""

    table: pd.DataFrame = field(default_factory=trace)
    provenance: str = "made"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        return self.table

    def training(self) -> pd.DataFrame:
        return self.table.head(2)


def test_a_window_of_seconds_and_one_of_rows() -> None:
    table = trace(deadline=np.arange(6) * 2.0 + 1, measured_first_token=99.0)
    found = Window(3.0, 5.0)(table, rng())
    assert found["arrival"].tolist() == [1.0, 3.0]
    assert (found["deadline"] - found["arrival"] == 1).all()
    assert "measured_first_token" not in found
    starts = set()
    for seed in range(30):
        rows = Rows(3)(table, rng(seed))
        assert rows["arrival"].tolist() == [0, 2, 4]
        starts.add(rows["prompt_tokens"].iloc[0])
    assert starts == {10, 20, 30, 40}


def test_scaling_moves_arrivals_and_think_times_and_keeps_the_slack_of_deadlines() -> None:
    table = trace(deadline=np.arange(6) * 2.0 + 1)
    fast = ToRate(5.0)(table, rng())
    assert 5 / fast["arrival"].iloc[-1] == pytest.approx(5.0)
    assert (fast["deadline"] - fast["arrival"]).tolist() == pytest.approx([1.0] * 6)
    thinking = trace(session="a", think=2.0)
    slow = Stretch(3.0)(thinking, rng())
    assert slow["arrival"].tolist() == [0, 6, 12, 18, 24, 30]
    assert (slow["think"] == 6).all()
    with pytest.raises(ValueError, match="closed loop has no rate"):
        ToRate(5.0)(thinking, rng())
    with pytest.raises(ValueError, match="6 requests arrive at one instant"):
        ToRate(5.0)(trace(arrival=0.0), rng())


def test_thinning_keeps_its_share_and_counts_the_sessions_that_it_breaks() -> None:
    table = chats(4000)
    thin = Thin(0.3)(table, rng())
    assert len(thin) / 4000 == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / 4000))
    sizes, left = (one["session"].value_counts() for one in (table, thin))
    assert thin.attrs["broken_sessions"] == (left < sizes[left.index]).sum() > 0
    whole = ThinSessions(0.3)(table, rng())
    left = whole["session"].value_counts()
    assert (left == sizes[left.index]).all()
    assert len(left) / len(sizes) == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / len(sizes)))
    assert whole.attrs["broken_sessions"] == 0


def test_copies_of_clients_are_clients_of_their_own() -> None:
    table = chats(80)
    table = table.assign(client=table["session"], request_id=[str(row) for row in range(80)])
    copied = Upsample(3, jitter=9.0)(table, rng())
    assert len(copied) == 240
    assert copied["client"].nunique() == 3 * table["client"].nunique()
    assert copied["request_id"].is_unique
    assert copied["arrival"].is_monotonic_increasing
    for number in (2, 3):
        copy = copied[copied["client"].str.endswith(f" ({number} of 3)")].copy()
        copy["row"] = copy["request_id"].str.removesuffix(f" ({number} of 3)").astype(int)
        copy = copy.sort_values("row").reset_index(drop=True)
        late = copy["arrival"] - table["arrival"]
        assert late.between(0, 9).all()
        assert (late.groupby(table["client"]).std().dropna() < 1e-9).all()
        assert late.std() > 1
        first = {one for ids in copied["prompt_ids"][copied["client"].str.endswith("(1 of 3)")] for one in ids}
        assert not first & {one for ids in copy["prompt_ids"] for one in ids}
        pairs = {(one, other) for new, old in zip(copy["prompt_ids"], table["prompt_ids"], strict=True)
                  for one, other in zip(new, old, strict=True)}  # fmt: skip
        assert len(pairs) == len({one for one, _ in pairs}) == len(first), "each content has one other id"


def test_over_long_requests_are_refused_or_clipped_and_counted() -> None:
    table = trace()  # totals 15, 26, 37, 48, 59, 70
    refused = Refuse(37)(table, rng())
    assert refused["prompt_tokens"].tolist() == [10, 20, 30]
    assert counted(refused) == "; refused: 3"
    clipped = Clip(52)(table, rng())
    assert clipped["prompt_tokens"].tolist() == [10, 20, 30, 40, 50, 51]
    assert clipped["output_tokens"].tolist() == [5, 6, 7, 8, 2, 1]
    assert counted(clipped) == "; clipped: 2"
    assert counted(Clip(52)(Refuse(65)(table, rng()), rng())) == "; refused: 1, clipped: 1"
    pausing = trace(pauses=[[], [], [[2, 1.0, 30]], [], [], []])
    assert Refuse(60)(pausing, rng())["prompt_tokens"].tolist() == [10, 20, 40, 50]
    for bad in (pausing, trace(prompt_text="a")):
        with pytest.raises(ValueError, match="cannot be clipped to 52 tokens"):
            Clip(52)(bad, rng())


def test_a_clipped_prompt_shares_the_full_blocks_that_are_left() -> None:
    table = chats(200)
    clipped = Clip(150)(table, rng())
    before = {one for ids in table["prompt_ids"] for one in ids}
    shortened = clipped["prompt_tokens"] < table["prompt_tokens"]
    assert shortened.any()
    for old, new, tokens, short in zip(
        table["prompt_ids"], clipped["prompt_ids"], clipped["prompt_tokens"], shortened, strict=True
    ):
        full = tokens // 16
        assert new[:full] == old[:full]
        assert not short or (len(new) == full + 1 and new[-1] not in before)
    assert clipped.attrs["clipped"] == (table["prompt_tokens"] + table["output_tokens"] > 150).sum()


OPERATIONS = st.one_of(
    st.builds(Rows, st.integers(1, 5)),
    st.builds(Window, st.just(0.0), st.floats(5, 50)),
    st.builds(Stretch, st.floats(0.1, 10)),
    st.builds(Thin, st.floats(0.9, 1)),
    st.builds(ThinSessions, st.floats(0.9, 1)),
    st.builds(Refuse, st.integers(500, 3000)),
    st.builds(Clip, st.integers(100, 3000)),
    st.builds(Upsample, st.integers(2, 3), st.floats(0, 20)),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(operations=st.lists(OPERATIONS, max_size=3), pace=st.sampled_from([OPEN, CLOSED]), seed=st.integers(0, 999))
def test_any_operations_leave_a_trace_whose_shared_prefixes_hold(operations, pace, seed) -> None:
    made = chats(60, pace, seed)
    named = made.assign(client=made["session"])
    source = Transformed(Made(named), [*sorted(operations, key=lambda one: isinstance(one, Rows))])
    table = source.replay(rng(seed), rng(1))
    assert len(to_requests(table)) == len(table)
    assert table.equals(source.replay(rng(seed), rng(1)))
    for _, session in table.groupby("session"):
        for before, after in zip(session["prompt_ids"].iloc[:-1], session["prompt_ids"].iloc[1:], strict=True):
            shared = min(len(before), len(after)) - 1
            assert before[:shared] == after[:shared]
    assert named.drop(columns="client").equals(chats(60, pace, seed)), "the source is unchanged"


def test_a_mix_keeps_its_parts_apart() -> None:
    plain = trace(client="x", max_tokens=99)
    tables = {"one": plain, "two": chats(60), "three": chats(60, CLOSED, 5)}
    mixed = mix(tables, {"one": 1.0, "two": 0.5, "three": 1.0}, rng())
    assert mixed["arrival"].is_monotonic_increasing
    parts = {name: mixed[mixed["session"].str.startswith(f"{name}/")] for name in tables}
    assert len(parts["one"]) == 6
    assert set(parts["one"]["client"]) == {"one/x"}
    assert set(parts["two"]["client"]) == {"two"}
    assert parts["one"]["session"].is_unique
    sizes, left = tables["two"]["session"].value_counts(), parts["two"]["session"].value_counts()
    assert 0 < len(left) < len(sizes)
    assert (left == sizes[left.index.str.removeprefix("two/")].to_numpy()).all()
    assert parts["three"]["think"].notna().all()
    assert parts["two"]["think"].isna().all()
    ids = [{one for prompt in part["prompt_ids"] for one in prompt} for part in parts.values()]
    assert not ids[0]
    assert not ids[1] & ids[2]
    assert counted(mixed) == "; dropped: ['max_tokens']"
    assert len(to_requests(mixed)) == len(mixed)


def test_a_mix_has_no_calls_where_a_part_has_none() -> None:
    calling = trace(pauses=[[[2, 1.5, 30]], [], [[1, 0.5, 0], [3, 9.0, 2]], [], [], []])
    mixed = mix(
        {"calling": calling, "plain": trace(), "chats": chats(20)},
        dict.fromkeys(("calling", "plain", "chats"), 1.0),
        rng(),
    )
    found = [request.truth.pauses for request in to_requests(mixed)]
    assert [pauses for pauses in found if pauses] == [((2, 1.5, 30),), ((1, 0.5, 0), (3, 9.0, 2))]
    assert len(found) == 32


def test_plain_requests_lose_their_calls_and_what_these_return() -> None:
    calling = trace(400, pauses=[[[2, 1.5, 30]]] * 399 + [[]], max_tokens=440, client=[f"c{row}" for row in range(400)])
    mixed = Plain(0.5)(calling, rng())
    plain = mixed["pauses"].map(len) == 0
    assert plain.sum() == pytest.approx(200, abs=40)
    assert mixed["max_tokens"][plain].tolist() == [max(410, row + 5) for row in np.flatnonzero(plain)[:-1]] + [440]
    assert set(mixed["max_tokens"][~plain]) == {440}
    assert mixed.drop(columns=["pauses", "max_tokens"]).equals(calling.drop(columns=["pauses", "max_tokens"]))
    check(mixed, "mixed")
    assert str(Plain(0.5)) == "Plain(share=0.5)"
    with pytest.raises(ValueError, match="share must be above 0 and at most 1, got 0"):
        Plain(0)
    with pytest.raises(ValueError, match="the trace has no column 'pauses'; it has arrival, prompt_tokens"):
        Plain(0.5)(trace(), rng())


def test_a_mix_adds_up_what_its_parts_counted() -> None:
    tables = {name: Refuse(size)(trace(), rng()) for name, size in (("one", 37), ("two", 48))}
    assert counted(mix(tables, {"one": 1.0, "two": 1.0}, rng())) == "; refused: 5"


def test_texts_are_paired_with_arrivals_of_another_trace() -> None:
    texts = trace(prompt_text=[f"text {row}" for row in range(6)], deadline=np.arange(6) * 2.0 + 1, session="a")
    arrivals = trace(4, arrival=[1.0, 1.5, 4.0, 9.0])
    paired = pair_text(texts, arrivals, rng(), with_replacement=False)
    assert paired["arrival"].tolist() == [1.0, 1.5, 4.0, 9.0]
    assert (paired["deadline"] - paired["arrival"] == 1).all()
    assert paired["prompt_text"].is_unique
    pairs = dict(zip(texts["prompt_text"], texts["output_tokens"], strict=True))
    assert [pairs[text] for text in paired["prompt_text"]] == paired["output_tokens"].tolist()
    assert "session" not in paired
    many = trace(50)
    with pytest.raises(ValueError, match="6 texts are too few for 50 arrivals"):
        pair_text(texts, many, rng(), with_replacement=False)
    assert set(pair_text(texts, many, rng(), with_replacement=True)["prompt_text"]) == set(texts["prompt_text"])


def test_sources_of_sources_say_what_was_done_and_train_on_what_is_not_replayed() -> None:
    dialogue = SyntheticDialogue(4.0, 40, training_requests=30)
    steady = Synthetic(2.0, 30, Poisson(), LENGTHS, training_requests=20)
    changed = Transformed(steady, [Thin(0.5), ToRate(3.0)])
    assert changed.provenance == f"{steady.provenance}; then Thin(share=0.5); then ToRate(rate=3.0)"
    assert changed.training().equals(steady.training())
    paired = Paired(dialogue, steady)
    assert paired.provenance.startswith("synthetic pairing: ")
    assert paired.training().equals(dialogue.training())
    table = paired.replay(rng(), rng(1))
    assert table["arrival"].equals(steady.replay(rng(), rng(1))["arrival"])
    assert not set(table["prompt_text"]) & set(dialogue.training()["prompt_text"])
    mixed = Mixed({"a": dialogue, "b": changed}, {"a": 1.0, "b": 1.0})
    assert len(mixed.training()) == 50
    assert mixed.replay(rng(), rng(1)).equals(mixed.replay(rng(), rng(1)))
    assert "synthetic mix" in mixed.provenance


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Rows(0), "requests .* got 0"),
        (lambda: Rows(7)(trace(), rng()), "7 requests are wanted, the trace has 6"),
        (lambda: Window(-1, 1), "start .* got -1"),
        (lambda: Window(0, np.nan), "seconds .* got nan"),
        (lambda: Window(500, 1)(trace(), rng()), "none of 6 requests"),
        (lambda: ToRate(0), "rate .* got 0"),
        (lambda: Stretch(-2), "factor .* got -2"),
        (lambda: Thin(0), "share .* got 0"),
        (lambda: ThinSessions(1.5), "share .* got 1.5"),
        (lambda: ThinSessions(0.5)(trace(), rng()), "no column 'session'; it has arrival"),
        (lambda: Upsample(1, 0), "copies .* got 1"),
        (lambda: Upsample(2, -1), "jitter .* got -1"),
        (lambda: Upsample(2, 1)(trace(), rng()), "no column 'client'"),
        (lambda: Refuse(1), "max_model_len .* got 1"),
        (lambda: Clip(0), "max_model_len .* got 0"),
        (lambda: Mixed({"a": Made()}, {"a": 1.0}), "two or more names"),
        (lambda: Mixed({"a": Made(), "b": Made()}, {"a": 1.0, "c": 1.0}), "weights must be of the same"),
        (lambda: Mixed({"a": Made(), "b": Made()}, {"a": 1.0, "b": 1.5}), "weights must be above 0 .* 1.5"),
    ],
)
def test_bad_settings_are_refused_by_name_and_value(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


SMALL = {"trace.requests": 40, "trace.training_requests": 30}
BUILT = {
    **dict.fromkeys(("poisson", "gamma", "weibull", "mmpp", "diurnal", "sinusoid", "closed_loop", "multi_turn"), SMALL),
    **dict.fromkeys(("best_effort", "best_effort_gamma", "best_effort_mmpp", "clients", "rtlm_variance"), SMALL),
    "poisson trace/lengths=zipf": SMALL,
    "poisson trace/lengths=quantiles": SMALL,
    "transformed": {"trace.source.requests": 40, "trace.source.training_requests": 30},
    "mixed": {"trace.sources.bursts.requests": 40, "trace.sources.chats.requests": 40},
    "paired": {"trace.texts.requests": 40, "trace.texts.training_requests": 30, "trace.arrivals.requests": 40},
}


def build(name: str, **more: float) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    overrides = [*f"trace={name}".split(), *(f"{key}={value}" for key, value in more.items())]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return read_trace(compose("config", overrides=overrides).trace, seed=0)


@pytest.mark.parametrize("name", BUILT)
def test_every_yaml_builds_a_trace_that_says_it_is_synthetic(name: str) -> None:
    table, training, provenance = build(name, **BUILT[name])
    assert len(to_requests(table)) == len(table) > 0
    assert len(training.requests) >= 30
    assert provenance.startswith("synthetic")
    assert " at 0x" not in provenance


def test_an_operation_on_a_public_trace_counts_what_it_refuses(shared_data, monkeypatch) -> None:
    monkeypatch.setenv("TOKENYARD_DATA", str(shared_data))
    table, _, provenance = build(
        "transformed trace@trace.source=azure_2023_conv", **{"trace.source.training_share": 0.2}
    )
    refused = table.attrs["refused"]
    assert refused > 0
    assert provenance.endswith(f"; then ToRate(rate=4.0); refused: {refused}")
    copied, training, _ = build("mmpp trace/lengths=copied", **SMALL, **{"trace.lengths.training_share": 0.2})
    assert len(copied) == 40
    assert len(training.table) == 30


def test_the_minutes_of_a_public_trace_set_the_rate_of_a_synthetic_one(shared_data, monkeypatch) -> None:
    monkeypatch.setenv("TOKENYARD_DATA", str(shared_data))
    table, training, provenance = build("best_effort_azure", **SMALL)
    assert (len(table), len(training.table)) == (40, 30)
    assert provenance.startswith("synthetic: MinuteCounts(path='traces/azure_2023_code.csv.gz', compress=10.0")


@pytest.mark.long
def test_real_answers_of_two_models_to_the_same_prompts(shared_data, monkeypatch) -> None:
    monkeypatch.setenv("TOKENYARD_DATA", str(shared_data))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        source = instantiate(compose("config", overrides=["trace=castillo_models"]).trace, _convert_="all")
    rows = source._rows
    assert len(rows) > 2000
    assert "meta-llama--Llama-3.1-8B-Instruct" in set(rows["model"])
    assert (rows["samples"].map(len) == rows["samples llama-3.2-1b"].map(len)).all()


def test_other_answers_are_clipped_where_they_would_end() -> None:
    table = check(trace().assign(samples=[[1, 2]] * 5 + [[1, 30]]), "made")
    assert Clip(62)(table, rng())["samples"].tolist() == [[1, 2]] * 5 + [[1, 2]]
    assert Clip(61)(table, rng())["samples"].tolist()[-1] == [1, 1]
    assert ended(table, np.full(6, 62))["samples"].tolist()[-1] == [1, 2]


def test_answers_of_several_models_are_clipped_alike() -> None:
    table = check(trace().assign(**{"output_tokens.small": 9}), "made")
    clipped = Clip(62)(table, rng())
    assert clipped["output_tokens.small"].tolist() == [9, 9, 9, 9, 9, 2]
    assert clipped["output_tokens"].tolist() == [5, 6, 7, 8, 9, 2]
    assert clipped.attrs["clipped"] == 1
    assert Clip(69)(table, rng()).attrs["clipped"] == 1, "the ninth token of the small one's, the tenth of the other's"
