"""A recording of a pair goes on after a kill, calibrates on other messages, and refuses another order of messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import record_pair as recorder
from experiments.record_pair import Options, Pair, record
from experiments.record_trace import selection
from profiles.measuring import models
from traces.pair import read_pair
from traces.text import chitchat

MESSAGES = {f"c:{turn}:0": f"why is {turn} odd" for turn in range(30)}


class Told(Pair):
    """Answers every message with three tokens, until it is killed before answer number `dies_at`."""

    dies_at: int | None = None
    answered: Sequence[str] = ()
    aligned_by: Sequence[str] = ()

    def __init__(self, options: Options) -> None:
        self.options = options

    def answers(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        if len(Told.answered) == Told.dies_at:
            raise KeyboardInterrupt
        Told.answered = [*Told.answered, *texts]
        return [{"prompt_tokens": 5, "output_ids": [1, 2, 3], "finish_reason": "stop"} for _ in texts]

    def align(self, messages: Sequence[tuple[str, Sequence[int]]]) -> dict[int, Any]:
        Told.aligned_by = [text for text, _ in messages]
        return dict.fromkeys(self.options.exits)

    def figures(self, text: str, answer: Sequence[int], maps: dict[int, Any]) -> dict[str, list[float]]:
        cells = {"confidence": [0.5] * 3, "divergence": [1.0] * 3, "agrees": [1] * 3}
        return {
            f"{kind}_{layers}{more}": told
            for layers in maps
            for more in ("", "_aligned")
            for kind, told in cells.items()
        }


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    weights = tmp_path / "weights"
    weights.write_bytes(b"made")
    monkeypatch.setattr(chitchat, "messages", lambda: MESSAGES)
    monkeypatch.setattr(models, "weights_file", lambda name: weights)
    monkeypatch.setattr(recorder, "library_versions", lambda *names: dict.fromkeys(names, "1"))
    Told.dies_at, Told.answered, Told.aligned_by = None, [], []
    return Options("smollm2-135m", (2, 4), 4, 2, 0, 1, 3, 64, str(tmp_path / "made.parquet"))


def texts(keys: Sequence[str]) -> list[str]:
    return [MESSAGES[key] for key in keys]


def test_exits_are_aligned_by_other_messages_than_are_kept(options: Options) -> None:
    record(options, Told)
    order = selection(0, 6)
    table = read_pair(Path(options.output), "4_aligned")
    assert table["message_id"].tolist() == order[:4]
    assert Told.aligned_by == texts(order[4:])
    assert table["proposals"].iloc[0] == [[0.5, 1.0, 1]] * 3
    made = table.attrs["provenance"]
    assert (made["messages"], made["calibration"], made["exits"]) == (4, 2, ["2", "2_aligned", "4", "4_aligned"])
    assert "odd" not in options.partial.read_text()


def test_a_killed_recording_goes_on_and_another_order_is_refused(options: Options) -> None:
    Told.dies_at = 3
    with pytest.raises(KeyboardInterrupt):
        record(options, Told)
    assert not Path(options.output).exists()
    Told.dies_at = None
    record(options, Told)
    assert Told.answered == texts(selection(0, 6))
    lines = options.partial.read_text().splitlines(keepends=True)
    options.partial.write_text("".join([lines[0], *reversed(lines[1:])]))
    with pytest.raises(ValueError, match="holds other messages"):
        record(options, Told)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"exits": ()}, "exits must be"), ({"exits": (3, 3)}, "each once"), ({"calibration": 0}, "calibration must be")],
)
def test_what_cannot_be_recorded_is_refused(options: Options, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(options, **changes)
