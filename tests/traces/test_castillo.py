"""CASTILLO's format as a trace: no prompt is both trained on and replayed, answers are the model's own samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from traces.castillo import Castillo
from traces.requests import to_requests
from traces.split import normalized


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Castillo:
    monkeypatch.setenv("TOKENYARD_CACHE", str(tmp_path / "cache"))
    texts = [
        f"Tell me about number {number // 2}{' ' * (number % 2)}" for number in range(60)
    ]  # each twice, but a space
    keys = {"dataset": "made", "prompt_id": [f"p{number}" for number in range(60)]}
    pd.DataFrame({**keys, "prompt_text": texts}).to_parquet(tmp_path / "prompts.parquet")
    samples = [[10 * number + 1, 10 * number + 2, 10 * number + 3] for number in range(60)]
    lengths = pd.DataFrame({**keys, "model": "made--model", "input_tokens": 7, "output_tokens": samples})
    lengths.to_parquet(tmp_path / "lengths.parquet")
    files = {"prompts": str(tmp_path / "prompts.parquet"), "lengths": str(tmp_path / "lengths.parquet")}
    return Castillo(rate=2.0, requests=200, model="made", clip=500, **files)


def draw(source: Castillo, seed: int) -> pd.DataFrame:
    return source.replay(np.random.default_rng(seed), np.random.default_rng(seed + 1))


def test_no_prompt_is_trained_on_and_replayed_not_even_a_copy(source: Castillo) -> None:
    trained, replayed = (
        {normalized(text) for text in table["prompt_text"]} for table in (source.training(), draw(source, 0))
    )
    assert trained
    assert replayed
    assert not trained & replayed


def test_answers_are_samples_of_the_prompt_cut_and_counted(source: Castillo) -> None:
    table = draw(source, 0)
    assert set(table["output_tokens"] % 10) <= {0, 1, 2, 3}
    assert table["output_tokens"].max() <= 500
    assert "30 of the model's samples were longer" in source.provenance
    assert table["max_tokens"].eq(500).all()
    whole = replace(source, training_share=None)
    assert draw(whole, 0).attrs["read"] == table.attrs["read"] == len(source.training()) + len(source._part(False))
    with pytest.raises(ValueError, match="no rows are kept for training"):
        whole.training()


def test_its_replay_can_be_resampled_by_blocks(source: Castillo) -> None:
    drawn = draw(replace(source, resample="blocks", block=4), 0)
    pairs = [set(zip(one["prompt_text"], one["output_tokens"], strict=True)) for one in (drawn, draw(source, 0))]
    assert len(drawn) == 200
    assert pairs[0] < pairs[1], "some of the rows that are drawn without it, and not all"
    assert "resampled by moving blocks of 4 rows" in replace(source, resample="blocks", block=4).provenance


def test_the_other_samples_stand_beside_an_answer_of_one_model(source: Castillo) -> None:
    for table in (draw(source, 0), replace(source, training_answers=None).training()):
        for answer, others in zip(table["output_tokens"], table["samples"], strict=True):
            assert sorted([answer, *others]) in (
                [[500] * 3] if answer == 500 else [[answer // 10 * 10 + one for one in (1, 2, 3)]]
            )
    assert [one.truth.samples for one in to_requests(draw(source, 0))] == [*map(tuple, draw(source, 0)["samples"])]
    assert "samples" not in source.training(), "a training prompt has its first answer alone, unless more are asked for"
    assert {len(others) for others in replace(source, training_answers=2).training()["samples"]} == {1}
    assert "samples" not in draw(replace(source, models={"small": "made"}), 0)
    with pytest.raises(ValueError, match="training_answers must be at least 1, got 0"):
        replace(source, training_answers=0)


def test_equal_seeds_give_equal_traces_and_others_do_not(source: Castillo) -> None:
    pd.testing.assert_frame_equal(draw(source, 3), draw(source, 3))
    assert not draw(source, 3)["arrival"].equals(draw(source, 4)["arrival"])


def test_an_unknown_model_is_named(source: Castillo) -> None:
    with pytest.raises(ValueError, match="'other' is 0 of the models made--model"):
        Castillo(1.0, 10, "other", source.prompts, source.lengths).training()


def test_prompts_are_left_out_by_data_set_and_by_length_and_counted(source: Castillo) -> None:
    with pytest.raises(ValueError, match="no data set other; it has made"):
        replace(source, datasets=["made", "other"]).training()
    assert len(replace(source, datasets=["made"]).training()) == len(source.training())
    everything = replace(source, longest_prompt=7)
    assert len(everything.training()) == len(source.training())
    assert "0 prompts above 7 tokens left out" in everything.provenance
    with pytest.raises(ValueError, match="no prompt falls in the training part"):
        replace(source, longest_prompt=6).training()


def with_another(source: Castillo, folder: Path, asked: int) -> Castillo:
    """The source with a second model, which answered the first `asked` prompts."""
    one = pd.read_parquet(source.lengths)
    two = one.head(asked).assign(model="made--other", output_tokens=[[100 * row + 5] for row in range(1, asked + 1)])
    pd.concat([one.assign(model="made--first"), two]).to_parquet(folder / "both.parquet")
    return replace(source, model="first", lengths=str(folder / "both.parquet"), models={"small": "other"})


def test_several_models_answer_the_same_prompts_at_their_own_lengths(source: Castillo, tmp_path: Path) -> None:
    both = with_another(source, tmp_path, asked=40)
    table = draw(both, 0)
    number = table["output_tokens"].to_numpy() // 10  # of the prompt, 10 * number + 1 to + 3 tokens
    assert table["output_tokens.small"].tolist() == np.minimum(100 * (number + 1) + 5, 500).tolist()
    assert number.max() < 40
    assert set(both.training()) == set(table)
    assert "and of other as small" in both.provenance
    assert "20 that not all were asked" in both.provenance
    assert to_requests(table)[0].truth.lengths == {"small": table["output_tokens.small"][0]}


def test_a_model_without_a_prompt_in_common_is_refused(source: Castillo, tmp_path: Path) -> None:
    both = with_another(source, tmp_path, asked=1)
    rows = pd.read_parquet(both.lengths)
    rows[~((rows["model"] == "made--first") & (rows["prompt_id"] == "p0"))].to_parquet(tmp_path / "apart.parquet")
    with pytest.raises(ValueError, match="no prompt was answered by first, other"):
        draw(replace(both, lengths=str(tmp_path / "apart.parquet")), 0)
