"""A recording resumes after a kill, refuses other settings, and ends as a parquet file without text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from experiments import record_trace as recorder
from experiments.record_trace import Answer, Ask, Options, record, selection
from traces.recorded import read_recording
from traces.text import chitchat

MESSAGES = {f"c:{turn}:0": f"why is {turn} odd" for turn in range(30)} | {"c:30:0": "hi"}


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    monkeypatch.setattr(chitchat, "messages", lambda: MESSAGES)
    monkeypatch.setattr(recorder, "library_versions", lambda *names: dict.fromkeys(names, "1"))
    return Options("smollm2-135m", 8, 0, 1, 20, str(tmp_path / "made.parquet"))


class Model:
    """Answers every message, until it is killed before answer number `dies_at`."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.asked: list[str] = []
        self.dies_at = dies_at

    def __call__(self, options: Options) -> Ask:
        return self.answer

    def answer(self, message_id: str, text: str) -> Answer:
        if len(self.asked) == self.dies_at:
            raise KeyboardInterrupt
        self.asked.append(message_id)
        return Answer(message_id, len(text), 5, 0.1, 0.5, "stop")


def test_a_recording_is_written_with_scores_and_provenance_but_no_text(options: Options) -> None:
    record(options, Model())
    table = read_recording(Path(options.output))
    assert table["message_id"].tolist() == selection(0, 8)
    assert (table["open_ended"] == 1).all()
    assert "odd" not in options.partial.read_text()
    provenance = table.attrs["provenance"]
    assert provenance.keys() >= {"model", "weights", "dtype", "threads", "versions", "processor", "date", "population"}
    assert provenance["scorer"] == "parser"
    assert (provenance["seed"], provenance["max_tokens"], provenance["messages"]) == (0, 20, 8)


def test_a_killed_recording_resumes_without_asking_twice(options: Options) -> None:
    with pytest.raises(KeyboardInterrupt):
        record(options, Model(dies_at=3))
    assert not Path(options.output).exists()
    with options.partial.open("a") as file:
        file.write('{"message_id": "c:')
    second = Model()
    record(options, second)
    assert second.asked == selection(0, 8)[3:]
    assert read_recording(Path(options.output))["message_id"].tolist() == selection(0, 8)


def test_more_messages_go_on_from_a_finished_recording_and_fewer_need_no_model(options: Options) -> None:
    record(options, Model())
    more = Model()
    record(replace(options, messages=10), more)
    assert more.asked == selection(0, 10)[8:]
    none = Model(dies_at=0)
    assert len(record(replace(options, messages=4), none)) == 4
    assert not none.asked
    assert len(record(replace(options, messages=10), none)) == 10


@pytest.mark.parametrize("other", [{"seed": 1}, {"max_tokens": 21}, {"threads": 2}])
def test_a_partial_file_of_other_settings_is_refused_until_restarted(options: Options, other: dict[str, int]) -> None:
    record(options, Model())
    name = next(iter(other))
    with pytest.raises(ValueError, match=f"partial.jsonl holds another measurement.*{name}"):
        record(replace(options, **other), Model())
    restarted = Model()
    record(replace(options, restart=True, **other), restarted)
    assert len(restarted.asked) == 8


def test_answers_of_another_order_are_refused(options: Options) -> None:
    record(options, Model())
    header, first, second, *rest = options.partial.read_text().splitlines(keepends=True)
    options.partial.write_text("".join([header, second, first, *rest]))
    with pytest.raises(
        ValueError, match=f"answer 1: message '{json.loads(second)['message_id']}' where the seed's order"
    ):
        record(options, Model())


def test_the_selection_is_of_the_population_and_only_grows(options: Options) -> None:
    assert "c:30:0" not in selection(0, 30)
    assert selection(0, 30)[:5] == selection(0, 5) != selection(1, 5)
    with pytest.raises(ValueError, match="messages is 31, the chat data has 30 candidates"):
        selection(0, 31)


@pytest.mark.parametrize("name", ["messages", "threads", "max_tokens"])
def test_wrong_options_are_named(options: Options, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        replace(options, **{name: 0})


def test_the_yaml_has_exactly_the_options() -> None:
    with initialize_config_dir(str(Path(recorder.__file__).parent / "conf"), version_base="1.3"):
        config = compose("record", overrides=["messages=3"])
    composed = Options(**config)
    assert (composed.model, composed.messages) == ("smollm2-135m", 3)
    assert composed.output == "traces/data/smollm2-135m_chitchat.parquet"
