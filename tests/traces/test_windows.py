"""Windows of stored traces: what is kept for training, what is replayed, read and resampled, and ids of 64 bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from traces.combined import Mixed, Paired, Transformed
from traces.formats import azure, burstgpt, llmservingsim, mooncake, parquet, qwen_bailian, vtc
from traces.operations import Clip, Rows, Upsample, counted
from traces.recorded import Recorded
from traces.requests import to_requests
from traces.resample import Blocks
from traces.schema import TraceError, check
from traces.summary import prefix_reuse
from traces.windows import Windows

CONF = Path(__file__).parents[2] / "experiments" / "conf"
HASH = 2**64 - 1
EPOCH = [
    {"timestamp": 1787000000000 + 250 * at, "input_length": 600 - 44 * at, "output_length": 5, "hash_ids": [1, 2 + at]}
    for at in range(2)
] + [{"timestamp": 1787000000500, "input_length": 512, "output_length": 5, "hash_ids": [1]}]
SECONDS = [
    {"timestamp": float(at), "input_length": 100, "output_length": 5, "hash_ids": [min(at, 2)]} for at in range(5)
]
FAILED = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
118,GPT-4,417,0,417,Conversation log
140,GPT-4,100,20,120,API log
141,GPT-4,100,20,120,API log
150,GPT-4,100,20,120,API log
"""
BURST_HEADER, *BURST_ROWS = FAILED.splitlines()


def made(folder: Path, content: str | list[dict[str, Any]], name: str = "made.jsonl") -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content))
    return str(path)


def replay(source: Any, seed: int = 0) -> pd.DataFrame:
    return source.replay(*(np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2)))


def stored(rows: int, **columns: Any):
    """A loader of `rows` rows whose gaps tell which row comes after them."""
    gaps = np.arange(rows) / 1024
    table = {"arrival": np.cumsum(gaps), "prompt_tokens": np.arange(1, rows + 1), "output_tokens": 3, **columns}
    return lambda path: check(pd.DataFrame(table), "stored")


def windows(folder: Path, rows: int, columns: dict[str, Any] | None = None, **options: Any) -> Windows:
    (folder / "made").touch()
    return Windows(str(folder / "made"), stored(rows, **columns or {}), "made", **options)


def test_three_rows_of_an_epoch_are_replayed_whole(tmp_path: Path) -> None:
    table = replay(Windows(made(tmp_path, EPOCH), mooncake.load, "made"))
    assert table["arrival"].tolist() == [0.0, 0.25, 0.5]
    assert table["prompt_tokens"].tolist() == [600, 556, 512]
    assert table.attrs["read"] == 3
    assert len(to_requests(table)) == 3


def test_a_failed_row_is_an_error_or_is_dropped_and_counted(tmp_path: Path) -> None:
    path = made(tmp_path, FAILED, "made.csv")
    with pytest.raises(
        TraceError, match=r"line 4: Response tokens '0' is 0: a request that failed; trace.skip_bad=true"
    ):
        replay(Windows(path, burstgpt.load, "made"))
    table = replay(Windows(path, burstgpt.load, "made", skip_bad=True))
    assert table["arrival"].tolist() == [0.0, 40.0, 135.0, 136.0, 145.0]
    assert table.attrs["read"] == 6
    assert counted(table) == "; skipped: 1 (Response tokens is 0: a request that failed)"


def test_a_trace_made_of_traces_counts_their_bad_rows(tmp_path: Path) -> None:
    source = Windows(made(tmp_path, FAILED, "made.csv"), burstgpt.load, "made", skip_bad=True)
    mixed = replay(Mixed({"one": source, "other": source}, {"one": 1.0, "other": 1.0}))
    assert (len(mixed), mixed.attrs["read"]) == (10, 12)
    assert counted(mixed) == "; skipped: 2 (Response tokens is 0: a request that failed)"
    paired = replay(Paired(source, source))
    assert (len(paired), paired.attrs["read"]) == (5, 6)
    assert counted(paired) == "; skipped: 2 (Response tokens is 0: a request that failed)"
    transformed = replay(Transformed(source, [Rows(2)]))
    assert (len(transformed), transformed.attrs["read"]) == (2, 6)


def test_the_unit_of_a_format_can_be_set(tmp_path: Path) -> None:
    path = made(tmp_path, SECONDS)
    assert replay(Windows(path, mooncake.load, "made"))["arrival"].tolist() == [0, 0.001, 0.002, 0.003, 0.004]
    source = Windows(path, mooncake.load, "made", unit="s")
    assert replay(source)["arrival"].tolist() == [0, 1, 2, 3, 4]
    assert "made.jsonl, stamps in s" in source.provenance
    for unit in ("h", "", "MS"):
        with pytest.raises(TraceError, match=rf"trace.unit must be one of s, ms, us, ns, got '{unit}'"):
            replay(Windows(path, mooncake.load, "made", unit=unit))


def test_a_format_without_a_unit_takes_none(tmp_path: Path) -> None:
    for load in (azure.load, parquet.read):
        with pytest.raises(ValueError, match="this format has no unit to set, got 'ms'"):
            Windows("made", load, "made", unit="ms")
    with pytest.raises(ValueError, match="this format has no skip_bad to set"):
        windows(tmp_path, 3, skip_bad=True)


@pytest.mark.parametrize("resample", [None, "blocks"])
def test_a_replay_says_where_its_window_begins_and_how_many_rows_were_kept(
    tmp_path: Path, resample: str | None
) -> None:
    source = windows(tmp_path, 100, window=20, training_share=0.2, rate=3.0)
    starts = {replay(source, seed).attrs["start"]: replay(source, seed)["prompt_tokens"].iloc[0] for seed in range(9)}
    assert len(starts) > 5
    assert all(first == 20 + start + 1 for start, first in starts.items())
    table = replay(windows(tmp_path, 100, training_share=0.2, resample=resample))
    assert (table.attrs["start"], table.attrs["kept"], table.attrs["read"]) == (0, 20, 100)
    assert replay(windows(tmp_path, 100)).attrs["kept"] == 0


SERVED = ("arrival_time", "queued_ts", "scheduled_ts", "first_token_ts", "last_token_ts")


@pytest.mark.parametrize(
    ("load", "rows"),
    [
        (mooncake.load, lambda at: {"timestamp": at, "input_length": 9, "output_length": 5, "hash_ids": [1]}),
        (
            qwen_bailian.load,
            lambda at: {
                "chat_id": at, "parent_chat_id": -1, "timestamp": at, "input_length": 9, "output_length": 5,
                "type": "text", "hash_ids": [1],
            },
        ),
        (vtc.load, lambda at: f"{at},c,{at},9,5"),
        (burstgpt.load, lambda at: f"{at},GPT-4,9,5,14,API log"),
        (
            llmservingsim.load,
            lambda at: {"request_id": str(at), "input_toks": 9, "output_toks": 5, **dict.fromkeys(SERVED, at)},
        ),
    ],
)  # fmt: skip
def test_epochs_in_any_unit_are_seconds_from_the_first(tmp_path: Path, load: Any, rows: Any) -> None:
    for unit, each in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        found = [rows(1787000000 * each + at) for at in (0, 1, 3)]
        if isinstance(found[0], str):
            header = BURST_HEADER if load is burstgpt.load else "req_id,client,req_time_s,prompt_len,output_len"
            path = made(tmp_path, "\n".join([header, *found]), "made.csv")
        else:
            path = made(tmp_path, found)
        assert load(Path(path), unit=unit)["arrival"].tolist() == [0.0, 1 / each, 3 / each]


def test_an_epoch_that_cannot_be_in_the_formats_own_unit_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path, [{**row, "timestamp": row["timestamp"] * 10**6} for row in EPOCH])
    with pytest.raises(TraceError, match=r"made.jsonl: the first instant is 1787000000000000000 ms.*trace.unit=ns"):
        mooncake.load(Path(path))
    assert mooncake.load(Path(path), unit="ns")["arrival"].tolist() == [0.0, 0.25, 0.5]


def test_a_stored_trace_that_begins_late_begins_at_0_when_replayed(tmp_path: Path) -> None:
    table = check(pd.DataFrame({"arrival": [1.787e9, 1.787e9 + 2], "prompt_tokens": 1, "output_tokens": 1}), "made")
    parquet.write(table, tmp_path / "late.parquet", {})
    assert replay(Windows(str(tmp_path / "late.parquet"), parquet.read, "made"))["arrival"].tolist() == [0.0, 2.0]


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_the_shortest_files_are_replayed_or_refused_by_name(tmp_path: Path, rows: int) -> None:
    for share in (None, 0, 0.0):
        source = windows(tmp_path, rows, training_share=share)
        assert replay(source)["prompt_tokens"].tolist() == list(range(1, rows + 1))
        with pytest.raises(TraceError, match=r"made: no rows are kept for training.*trace.training_share=0.2"):
            source.training()
    kept = windows(tmp_path, rows, training_share=0.2)
    if rows == 1:
        with pytest.raises(TraceError, match=r"made: its 1 row and trace.training_share=0.2 leave nothing to replay"):
            replay(kept)
    else:
        assert len(kept.training()) == 1, "at least one"
        assert replay(kept)["prompt_tokens"].tolist() == list(range(2, rows + 1))
    assert replay(windows(tmp_path, rows, resample="blocks"))["arrival"].iloc[0] == 0


def test_another_file_is_not_called_the_published_one(tmp_path: Path) -> None:
    origin = "recorded: Mooncake conversation trace"
    paths = ("mine.jsonl", "x/mooncake_conversation.jsonl.gz")
    own, published = (Windows(path, mooncake.load, origin) for path in paths)
    assert own.provenance.startswith("recorded: a file read as Mooncake conversation trace (mine.jsonl)")
    assert published.provenance.startswith("recorded: Mooncake conversation trace (mooncake_conversation.jsonl.gz)")


def test_a_window_is_at_most_the_rows_of_the_file(tmp_path: Path) -> None:
    assert replay(windows(tmp_path, 4, window=5))["prompt_tokens"].tolist() == [1, 2, 3, 4]
    assert replay(windows(tmp_path, 4, window=5, training_share=0.5))["prompt_tokens"].tolist() == [3, 4]
    assert replay(windows(tmp_path, 4, window=1))["arrival"].tolist() == [0.0]
    for window in (0, 2.5, "all"):
        with pytest.raises(ValueError, match="window must be a whole number of requests from 1, got"):
            windows(tmp_path, 4, window=window)
    with pytest.raises(ValueError, match="skip_bad must be true or false, got 'maybe'"):
        windows(tmp_path, 4, skip_bad="maybe")
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="training_share must be from 0 to below 1"):
            windows(tmp_path, 4, training_share=share)


def test_each_seed_replays_other_blocks_of_rows_with_the_gaps_before_them(tmp_path: Path) -> None:
    source = windows(tmp_path, 1000, training_share=0.2, window=500, resample="blocks")
    one, again, other = replay(source, 1), replay(source, 1), replay(source, 2)
    assert one.equals(again)
    assert not one.equals(other)
    assert len(one) == len(other) == 500
    assert one.attrs["read"] == 1000
    assert set(one["prompt_tokens"]) <= set(range(201, 1001))
    gaps, rows = np.diff(one["arrival"]) * 1024, one["prompt_tokens"].to_numpy() - 1
    recorded = rows[1:] != rows.min()  # the window's first row has no gap of its own
    assert gaps[recorded] == pytest.approx(rows[1:][recorded], rel=1e-9)
    starts = np.flatnonzero(np.diff(rows) != 1) + 1
    assert set(starts % 8) == {0}, "the cube root of 500 rows"
    assert len(starts) > 50
    assert "resampled by moving blocks of the cube root of the rows" in source.provenance
    unchanged = [replay(windows(tmp_path, 1000, training_share=0.2), seed) for seed in (1, 2)]
    assert unchanged[0].equals(unchanged[1])


def test_the_means_of_a_bootstrap_are_those_of_the_rows(tmp_path: Path) -> None:
    source = windows(tmp_path, 200, resample="blocks", block=4)
    tables = [replay(source, seed) for seed in range(300)]
    weights = np.minimum.reduce([np.arange(1, 201), np.arange(200, 0, -1), np.full(200, 4)])  # blocks that a row is in
    expected = np.average(np.arange(1, 201), weights=weights)
    means = np.array([table["prompt_tokens"].mean() for table in tables])
    assert means.mean() == pytest.approx(expected, abs=4 * means.std() / np.sqrt(300))
    # a mean of 50 independent blocks, whose own means are as good as uniform on 197 values
    assert means.std() == pytest.approx(np.sqrt((197**2 - 1) / 12 / 50), rel=0.15)


def test_copies_have_ids_and_sessions_of_their_own_and_the_contents_of_the_first(tmp_path: Path) -> None:
    columns = {
        "request_id": [f"r{row}" for row in range(60)],
        "session": [f"s{row // 3}" for row in range(60)],
        "client": [f"c{row % 5}" for row in range(60)],
        "prompt_ids": [[row] for row in range(60)],
        "id_tokens": 100,
        "deadline": np.cumsum(np.arange(60) / 1024) + 7,
    }
    table = stored(60, **columns)(None)
    drawn = Blocks(5)(table, np.random.default_rng(3))
    row = drawn["request_id"].str.extract(r"r(\d+) \(block \d+\)")[0].astype(int)
    assert row.duplicated().any()
    assert drawn["request_id"].is_unique
    assert drawn["prompt_ids"].tolist() == [[one] for one in row]
    assert drawn["client"].tolist() == [f"c{one % 5}" for one in row]
    assert (drawn["deadline"] - drawn["arrival"]).tolist() == pytest.approx([7] * 60)
    block = drawn["session"].str.extract(r"\(block (\d+)\)")[0].astype(int)
    assert block.tolist() == list(np.arange(60) // 5 + 1)
    turns = drawn["session"].value_counts()
    assert drawn.attrs["broken_sessions"] == (turns < 3).sum() > 0
    check(drawn, "drawn")


def test_what_cannot_be_resampled_is_refused(tmp_path: Path) -> None:
    loop = {"session": [f"s{row}" for row in range(6)], "think": 1.0}
    with pytest.raises(ValueError, match="resample=blocks cannot draw blocks of a closed loop"):
        replay(windows(tmp_path, 6, loop, resample="blocks"))
    for options, said in (
        ({"resample": "rows"}, r"resample must be null or blocks, got 'rows'"),
        ({"block": 3}, r"trace.block=3 is the length .*, and resample is null"),
        ({"resample": "blocks", "block": 0}, r"block must be at least 1 row, got 0"),
    ):
        with pytest.raises(ValueError, match=said):
            windows(tmp_path, 6, **options)
    with pytest.raises(ValueError, match=r"trace.block=9 is more than the 6 rows"):
        replay(windows(tmp_path, 6, resample="blocks", block=9))


def test_recorded_answers_can_be_resampled_and_replayed_whole() -> None:
    whole = Recorded(4.0, training_share=0)
    table = replay(whole)
    assert len(table) == table.attrs["read"] > 100
    with pytest.raises(TraceError, match="no rows are kept for training"):
        whole.training()
    drawn = replay(Recorded(4.0, requests=100, resample="blocks"))
    assert len(drawn) == 100
    assert drawn["message_id"].duplicated().any()


def hashes(rows: int = 4) -> pd.DataFrame:
    ids = [[HASH, HASH - at] for at in range(rows)]
    columns = {"client": [f"c{at % 2}" for at in range(rows)], "prompt_ids": ids, "id_tokens": 16}
    return check(
        pd.DataFrame({"arrival": np.arange(rows, dtype=float), "prompt_tokens": 32, "output_tokens": 1, **columns}), ""
    )


def test_ids_of_64_bits_stay_apart_into_the_engine(tmp_path: Path) -> None:
    rows = [{**row, "hash_ids": [HASH, HASH - at]} for at, row in enumerate(EPOCH[:2])]
    rows[1]["hash_ids"] = [-(2**63), HASH]
    table = replay(Windows(made(tmp_path, rows), mooncake.load, "made"))
    assert [request.prompt_ids for request in to_requests(table)] == [(HASH, HASH), (-(2**63), HASH)]
    with pytest.raises(TraceError, match=r"line 1: hash_ids .* are not whole numbers of 64 bits"):
        mooncake.load(Path(made(tmp_path, [{**rows[0], "hash_ids": [2**64, 1]}])))


@pytest.mark.parametrize(
    "ids", [[[0, 2**63 - 1], [-(2**63), 5]], [[0, HASH], [2**63, 5]], [[-1, HASH], [0, 5]], [[], [1, 2]]]
)
def test_parquet_keeps_ids_of_64_bits(tmp_path: Path, ids: list[list[int]]) -> None:
    table = pd.DataFrame({"arrival": 0.0, "prompt_tokens": 32, "output_tokens": 1, "prompt_ids": ids, "id_tokens": 16})
    parquet.write(table, tmp_path / "made.parquet", {})
    found = parquet.read(tmp_path / "made.parquet")["prompt_ids"].tolist()
    assert found == ids
    assert all(type(one) is int for prompt in found for one in prompt)


def test_operations_and_figures_keep_ids_of_64_bits_apart() -> None:
    table = hashes()
    copied = Upsample(2, 0.0)(table, np.random.default_rng(0))
    parts = [copied[copied["client"].str.endswith(f"({number} of 2)")] for number in (1, 2)]
    first, second = ({one for ids in part["prompt_ids"] for one in ids} for part in parts)
    assert len(first) == len(second) == 4
    assert not first & second
    check(copied, "copied")
    assert prefix_reuse(copied) == prefix_reuse(pd.concat([table, table])) | {
        "block_reuse": 6 / 16, "token_reuse": 6 / 16, "prompt_blocks": 16.0,
    }  # fmt: skip
    clipped = Clip(25)(table, np.random.default_rng(0))
    assert [ids[0] for ids in clipped["prompt_ids"]] == [HASH] * 4
    assert len({ids[1] for ids in clipped["prompt_ids"]}) == 4
    check(clipped, "clipped")


def test_chat_ids_of_64_bits_are_names(tmp_path: Path) -> None:
    row = {"timestamp": 0, "input_length": 9, "output_length": 1, "type": "text", "hash_ids": [HASH]}
    rows = [{**row, "chat_id": HASH, "parent_chat_id": -1}, {**row, "chat_id": HASH - 1, "parent_chat_id": HASH}]
    table = qwen_bailian.load(Path(made(tmp_path, rows)))
    assert table["request_id"].tolist() == [str(HASH), str(HASH - 1)]
    assert table["session"].tolist() == [str(HASH)] * 2


SMALL = ("requests=40",)
INSIDE = {
    "augmented": SMALL,
    **dict.fromkeys(("best_effort", "best_effort_gamma", "best_effort_mmpp"), SMALL),
    **dict.fromkeys(("clients", "closed_loop", "dialogue", "diurnal", "gamma", "mmpp", "multi_turn", "poisson"), SMALL),
    **dict.fromkeys(("recorded", "rtlm_variance", "short_dialogue", "sinusoid", "ticked", "weibull"), SMALL),
    "rtlm_dialogue": (*SMALL, "model=t5-small"),
    "mixed": ("sources.bursts.requests=40", "sources.chats.requests=40"),
    "paired": ("texts.requests=40", "arrivals.requests=40"),
    "transformed": ("source.requests=40",),
}
OF_A_FILE = {
    **dict.fromkeys(("azure_2023_code", "azure_2023_conv", "azure_2024_code", "azure_2024_conv"), "azure"),
    "llmservingsim": "llmservingsim",
    **{name: name for name in ("burstgpt", "csv", "mooncake", "parquet", "qwen_bailian", "splitwise", "vidur", "vtc")},
}
PLACED = {"split_each", "split_mixed"}
SAMPLED = {"infercept", "infercept_half_plain", "infercept_single"}
OTHERS = {
    *PLACED,
    *SAMPLED,
    "best_effort_azure",
    "castillo",
    "castillo_models",
    "coding_sessions",
    "pair",
    "servegen",
    "vllm_bench",
    "vllm_rtx_pro_6000",
}  # see tests of each


def build(name: str, *settings: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"trace={name}", *(f"trace.{setting}" for setting in settings)])
    return instantiate(OmegaConf.create(OmegaConf.to_yaml(cfg.trace, resolve=True)), _convert_="all")


def test_every_trace_yaml_is_in_one_of_these_lists() -> None:
    assert {path.stem for path in (CONF / "trace").glob("*.yaml")} == {*INSIDE, *OF_A_FILE, *OTHERS}


@pytest.mark.parametrize("name", INSIDE)
def test_every_source_says_how_much_was_read(name: str) -> None:
    table = replay(build(name, *INSIDE[name]))
    assert type(table.attrs["read"]) is int
    assert table.attrs["read"] >= len(table) > 0


@pytest.mark.parametrize("name", OF_A_FILE)
def test_every_yaml_of_a_file_composes_with_its_settings_and_reads_it(tmp_path: Path, name: str) -> None:
    contents = {
        "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "2023-11-16 18:15:46.5,9,5\n" * 3,
        "burstgpt": "\n".join([BURST_HEADER, *BURST_ROWS[3:]]),
        "csv": "ts,in,out\n" + "1,9,5\n" * 3,
        "llmservingsim": [{"arrival_time_ns": at * 10**9, "input_toks": 9, "output_toks": 5} for at in range(3)],
        "mooncake": EPOCH,
        "qwen_bailian": [
            {"chat_id": at, "parent_chat_id": -1, "timestamp": at, "input_length": 9, "output_length": 5, "type": "a",
             "hash_ids": [1]} for at in range(3)
        ],
        "splitwise": "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n"
        + "".join(f"{at},2,0,{at},1,9,5\n" for at in range(3)),
        "vidur": "arrived_at,num_prefill_tokens,num_decode_tokens\n" + "1,9,5\n" * 3,
        "vtc": "req_id,client,req_time_s,prompt_len,output_len\n" + "".join(f"{at},c,{at},9,5\n" for at in range(3)),
    }  # fmt: skip
    path = tmp_path / "made"
    if name == "parquet":
        parquet.write(pd.DataFrame({"arrival": [0.0, 1.0, 2.0], "prompt_tokens": 9, "output_tokens": 5}), path, {})
    else:
        made(tmp_path, contents[OF_A_FILE[name]], "made")
    more = ("columns.arrival=ts", "columns.prompt_tokens=in", "columns.output_tokens=out") if name == "csv" else ()
    source = build(name, f"path={path}", "window=null", "skip_bad=true", *more)
    assert source.resample is None
    table = replay(source)
    assert len(table) == table.attrs["read"] == 3
    with pytest.raises(TraceError, match="no rows are kept for training"):
        source.training()
    assert len(build(name, f"path={path}", "training_share=0.4", *more).training()) == 1


def test_the_top_level_setting_resamples_recorded_traces() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["trace=recorded", "resample=blocks", "trace.block=7"])
    assert (cfg.trace.resample, cfg.trace.block) == ("blocks", 7)


def test_a_loader_of_ones_own_needs_no_more_than_a_path(tmp_path: Path) -> None:
    assert (
        replay(Windows(made(tmp_path, SECONDS), lambda path: mooncake.load(path, unit="s"), "made"))["arrival"].iloc[-1]
        == 4
    )
