"""What describe says of the public files against what is known of them, and of made files by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from traces.catalogue import CATALOGUE
from traces.describe import describe, find, main
from traces.formats import parquet
from traces.ingredients import confusion_counts, read_predictions
from traces.schema import TraceError
from traces.sniff import FORMATS, known_format, told
from traces.summary import held_blocks, prefix_reuse, summary

AZURE = {"rows": 19366, "rate": 5.53, "gap_cv": 1.094, "prompt_tokens_mean": 1155, "prompt_tokens_p50": 1020} | {
    "prompt_tokens_p90": 2734, "prompt_tokens_p99": 4142, "output_tokens_mean": 211, "output_tokens_p50": 129,
    "output_tokens_p90": 424, "output_tokens_p99": 601,
}  # fmt: skip
KNOWN = {
    "azure_2023_conv": AZURE,
    "azure_2023_code": {"rows": 8819, "rate": 2.57},
    "mooncake_conversation": {"rows": 12031, "block_reuse": 0.366, "prompt_blocks": 288500},
    "vtc_arena": {"rows": 1500, "clients": 27, "span": 600.0},
    "infercept_multi": {"rows": 397, "tasks": 6, "span": 0.0},
    "infercept_single": {"rows": 397, "pauses": 397, "paused_share": 1.0},
    "claude_code_sessions": {"rows": 49334, "session_calls_mean": 61.05, "new_tokens_p50": 720},
    "ssjf_predictions_5class": {"rows": 85482, "output_tokens_mean": 176.8, "output_tokens_p90": 397, "accuracy": 0.6},
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_public_files_have_their_known_figures(shared_data: Path, name: str) -> None:
    entry = next(entry for entry in CATALOGUE if entry.name == name)
    path = shared_data / entry.file
    assert told(path).name == entry.format
    figures, _ = describe(path, known_format(entry.format))
    known = KNOWN[name]
    assert {figure: figures[figure] for figure in known} == pytest.approx(known, rel=2e-3)


def test_servegens_files_are_said_by_model(shared_data: Path) -> None:
    folder = shared_data / "traces"
    rates, _ = describe(folder / "servegen_client_rates.parquet", told(folder / "servegen_client_rates.parquet"))
    assert rates["deepseek-r1"]["windows"] + rates["m-small"]["windows"] == 43206
    assert rates["m-small"]["days"] == 14
    assert (rates["deepseek-r1"]["clients"], rates["m-small"]["clients"]) == (73, 43)
    path = folder / "servegen_length_quantiles.parquet"
    quantiles, _ = describe(path, told(path))
    assert sum(group["rows"] for group in quantiles.values() if isinstance(group, dict)) == 2802


def test_ssjfs_confusion_counts_are_those_of_the_paper_notes(shared_data: Path) -> None:
    counts = confusion_counts(read_predictions(shared_data / "traces" / "ssjf_predictions_5class.csv.gz"))
    assert counts[0].tolist() == [17290, 3290, 648, 355, 90]
    assert counts[3].tolist() == [275, 1450, 5266, 12148, 1466]
    assert counts[4].tolist() == [14, 45, 133, 447, 205]


def test_every_public_file_at_hand_is_described_and_drawn(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOKENYARD_DATA", str(shared_data))
    monkeypatch.chdir(tmp_path)
    names = [entry.name for entry in CATALOGUE if (shared_data / entry.file).is_file()]
    files = {entry.file for entry in CATALOGUE}
    others = {path.name for path in (shared_data / "traces").iterdir() if f"traces/{path.name}" not in files}
    assert not others
    for name in names:
        assert main([name, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert "NOT" not in said["sha256"]
        assert Path(said["figure"]) == Path("results") / "traces" / f"{name}.png"
        assert Path(said["figure"]).read_bytes().startswith(b"\x89PNG")


def made(**columns: object) -> pd.DataFrame:
    rows = {"arrival": [0.0, 1.0, 2.0, 5.0], "prompt_tokens": [5, 4, 6, 2], "output_tokens": [7, 8, 9, 10]}
    return pd.DataFrame({**rows, **columns})


def test_optional_columns_have_figures_of_their_own() -> None:
    pauses = [[], [[2, 1.5, 3], [4, 2.5, 5]], [], [[1, 0.0, 0]]]
    figures = summary(made(client=list("abaa"), session=list("xyyy"), task=list("ttuv"), pauses=pauses, max_tokens=20))
    assert (figures["clients"], figures["client_largest_share"]) == (2, 0.75)
    assert (figures["sessions"], figures["turns_mean"], figures["turns_max"], figures["turns_one"]) == (2, 2, 3, 0.5)
    assert (figures["tasks"], figures["task_largest_share"]) == (3, 0.5)
    assert (figures["pauses"], figures["paused_share"], figures["pause_seconds_max"]) == (3, 0.5, 2.5)
    assert (figures["pause_calls_mean"], figures["pause_calls_max"]) == (0.75, 2)
    assert (figures["pause_total_mean"], figures["pause_total_max"]) == (2.0, 4.0)
    assert (figures["max_tokens_p50"], figures["prompt_tokens_max"], figures["output_tokens_mean"]) == (20, 6, 8.5)


def test_a_block_is_held_if_all_before_it_are_the_same() -> None:
    ids = pd.Series([[1, 2, 3], [1, 2], [9, 2, 3], [1, 2, 3, 4], [], [9, 2, 3]])
    assert held_blocks(ids).tolist() == [0, 2, 0, 3, 0, 3]


def test_held_blocks_are_those_of_a_tree_walked_by_hand() -> None:
    rng = np.random.default_rng(0)
    prompts = pd.Series([rng.integers(0, 3, rng.integers(0, 7)).tolist() for _ in range(300)])
    seen: set[tuple[int, ...]] = set()
    expected = []
    for ids in prompts:
        paths = [tuple(ids[: depth + 1]) for depth in range(len(ids))]
        expected.append(sum(path in seen for path in paths))
        seen.update(paths)
    assert held_blocks(prompts).tolist() == expected
    assert 0 < sum(expected) < prompts.map(len).sum()


def test_reuse_is_told_in_blocks_and_in_tokens() -> None:
    table = made(prompt_ids=[[0, 1], [0], [0, 2], [0]], id_tokens=4).assign(prompt_tokens=[6, 4, 5, 3])
    assert prefix_reuse(table) == {
        "prompt_blocks": 6,
        "block_reuse": 0.5,
        "token_reuse": pytest.approx((4 + 4 + 3) / 18),
    }


HEADERS = {
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens",
    "burstgpt": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
    "vtc": "req_id,client,req_time_s,prompt_len,output_len",
    "ssjf_predictions": ",output_token_length,predicted_length,latency,model",
    "mooncake": '{"timestamp": 0, "input_length": 5, "output_length": 2, "hash_ids": [0]}\n{"chat_id": 1',
    "qwen_bailian": '{"chat_id": 1, "parent_chat_id": -1, "timestamp": 0.5, "input_length": 5, "output_length": 2, '
    '"type": "text", "turn": 1, "hash_ids": [0]}',
    "llmservingsim": '{"arrival_time": 0.0, "input_toks": 5, "output_toks": 2}',
    "llmservingsim_sessions": '{"session_id": "a", "arrival_time_ns": 0, "sub_requests": '
    '[{"input_toks": 5, "output_toks": 2}]}',
    "infercept": '{"cols": ["a"], "data": [{"key": "k", "segs": [[1',
    "vllm_bench": '{"date": "x", "total_input_tokens": 5, "request_throughput": 2.0, "input_lens": [5',
    "vllm_dataset": '{"prompt": "hello", "output_tokens": 5}',
    "openai": '{"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}',
    "conversations": '[{"conversations": [{"value": "hello"}, {"value": "yes"}]}]',
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_format_is_told_by_what_the_file_begins_with(tmp_path: Path, name: str) -> None:
    path = tmp_path / "any.gz"
    path.write_bytes(gzip.compress((HEADERS[name] + "\n").encode()))
    assert told(path).name == name


def test_an_unknown_or_ambiguous_file_lists_the_formats(tmp_path: Path) -> None:
    path = tmp_path / "any.csv"
    for content, said in (
        ("a,b,c\n", r"no known format fits .* \(a, b, c\); name it with --format: parquet, azure, "),
        ("", r"no known format fits .* \(no columns or keys\)"),
        (HEADERS["azure"] + "," + HEADERS["vtc"] + "\n", "azure and vtc fits"),
    ):
        path.write_text(content)
        with pytest.raises(TraceError, match=said):
            told(path)
    for content, said in ((b"\x1f\x8bnot gzip", "the gzip file is broken"), (b"PAR1 and no more", "as parquet")):
        path.write_bytes(content)
        with pytest.raises(TraceError, match=said):
            told(path)


def test_every_loader_that_a_format_names_is_there(tmp_path: Path) -> None:
    for form in FORMATS:
        path = tmp_path / "none.gz"
        with pytest.raises(TraceError if form.loader is None else FileNotFoundError, match=r"no trace|none\.gz"):
            form.load(path, skip_bad=True)


def test_the_command_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, picture = tmp_path / "made.csv", tmp_path / "made.png"
    row = "2023-11-16 18:15:46.68,374,44\n"
    path.write_text(HEADERS["azure"] + "\n" + row + "bad\n" + row)
    assert main([str(path), "--draw", str(picture)]) == 1
    assert "line 3" in capsys.readouterr().err
    assert not picture.exists()
    assert main([str(path), "--draw", str(picture), "--skip-bad"]) == 0
    said = capsys.readouterr().out
    assert "skipped: 1 rows: has not 3 fields" in said
    assert "rate                         not defined" in said
    assert picture.stat().st_size > 10_000
    assert main([str(path), "--format", "nothing"]) == 1
    assert "no format is called 'nothing'; there are parquet, azure," in capsys.readouterr().err


def test_a_public_trace_that_is_not_there_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("TOKENYARD_DATA", str(tmp_path))
    assert main(["burstgpt"]) == 1
    assert "or download it: tokenyard trace fetch burstgpt" in capsys.readouterr().err
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "burstgpt.csv.gz").touch()
    assert find("burstgpt")[0] == tmp_path / "traces" / "burstgpt.csv.gz"


def test_prompts_without_counts_are_estimated_only_if_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "what is a trace?", "output_tokens": 5}\n')
    assert main([str(path), "--draw", str(tmp_path / "prompts.png")]) == 1
    assert "count" in capsys.readouterr().err
    assert main([str(path), "--draw", str(tmp_path / "prompts.png"), "--chars-per-token", "4", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["prompt_tokens_mean"] == 4
    assert said["tokens"] == "characters / 4, an estimate"
    assert said["rate"] is None


def test_many_rows_and_every_column_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = 6000
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "arrival": np.floor(np.cumsum(rng.exponential(1.0, rows))),
            "prompt_tokens": np.full(rows, 40),
            "output_tokens": rng.integers(5, 50, rows),
            "client": rng.integers(0, 30, rows).astype(str),
            "task": rng.integers(0, 3, rows).astype(str),
            "session": rng.integers(0, 900, rows).astype(str),
            "prompt_ids": [rng.integers(0, 4, 3).tolist() for _ in range(rows)],
            "id_tokens": 16,
            "pauses": [[[2, 0.0, 4]] if at % 3 else [] for at in range(rows)],
        }
    )
    path = tmp_path / "many.parquet"
    parquet.write(table, path, {})
    assert main([str(path), "--draw", str(tmp_path / "many.png")]) == 0
    said = capsys.readouterr().out
    assert "block reuse, infinite cache" in said
    assert (tmp_path / "many.png").stat().st_size > 50_000


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("0,40,7,0.02,vicuna-13b", "line 3: predicted_length '7' is not sound"),
        ("0,0,1,0.02,vicuna-13b", "line 3: output_token_length '0' is not sound"),
        ("0,40,1,nan,vicuna-13b", "line 3: latency 'nan' is not sound"),
        ("0,40,1,vicuna-13b", "line 3: .* has 4 fields, not 5"),
    ],
)
def test_bad_predictions_are_named(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "made.csv"
    path.write_text(f"{HEADERS['ssjf_predictions']}\n0,40,1,0.02,vicuna-13b\n{row}\n")
    with pytest.raises(TraceError, match=said):
        describe(path, told(path))


def test_rates_that_are_none_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rates.parquet"
    pd.DataFrame({"t": [0], "rate": [1.0]}).to_parquet(path)
    assert main([str(path), "--format", "servegen_rates"]) == 1
    assert "missing column" in capsys.readouterr().err
