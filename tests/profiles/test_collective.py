"""What devices that share a model exchange: a ring by hand, a table, and tables that need one and have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiles.collective import Exchange, Ring, read_collective
from profiles.kernel_profile import KernelProfile, load
from profiles.operators.architecture import architecture
from profiles.operators.gpus import DATASHEETS, datasheet
from profiles.operators.kv_memory import activation_bytes, kv_tokens
from sim.step import Step
from tests.profiles.test_kernel import FACTS, tiny, write

LINK = Ring(1e9, 1e-5)


def test_a_ring_sends_each_part_once_around_to_gather_and_twice_to_add_up() -> None:
    assert LINK.all_gather(4000, 4) == pytest.approx(1e-5 + 3e-6)
    assert LINK.all_reduce(4000, 4) == pytest.approx(1e-5 + 6e-6)
    assert LINK.all_reduce(4000, 2) == pytest.approx(1e-5 + 4e-6), "what each holds, once"


@pytest.mark.parametrize(("bandwidth", "latency"), [(0.0, 0.0), (float("nan"), 0.0), (1.0, -1.0)])
def test_a_link_that_cannot_be_is_named(bandwidth: float, latency: float) -> None:
    with pytest.raises(ValueError, match="of the link must"):
        Ring(bandwidth, latency)


def test_a_step_adds_up_after_the_embedding_and_twice_a_layer_and_gathers_its_logits(tmp_path: Path) -> None:
    alone = tiny(tmp_path)
    shared = tiny_of_two(tmp_path, Exchange(LINK, 2, hidden=100, vocabulary=3000))
    for step, tokens, sequences in ((Step(0, 0, 3, 60), 3, 3), (Step(16, 136, 1, 16), 17, 2)):
        reduced = 5 * (1e-5 + tokens * 200 / 1e9)
        gathered = 1e-5 + sequences * 6000 / 2 / 1e9
        assert shared.step_time(step) - alone.step_time(step) == pytest.approx(reduced + gathered)


def test_tables_of_one_of_two_devices_need_what_these_exchange(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"_tp2\w*\.csv is of one of 2 devices, and all_reduce, .*, is not said"):
        tiny_of_two(tmp_path, None)
    with pytest.raises(ValueError, match=r"is of one of 2 devices, and all_reduce, .*, is among 4"):
        tiny_of_two(tmp_path, Exchange(LINK, 4, hidden=100, vocabulary=3000))
    with pytest.raises(ValueError, match=r"is of one of 1 devices, and all_reduce, .*, is among 2"):
        tiny(tmp_path, all_reduce=Exchange(LINK, 2, hidden=100, vocabulary=3000))
    with pytest.raises(ValueError, match="an exchange is among 2 devices or more, got 1"):
        Exchange(LINK, 1, hidden=100, vocabulary=3000)


def tiny_of_two(folder: Path, exchange: Exchange | None) -> KernelProfile:
    paths = {name: path.rename(folder / f"tiny_tp2_{name}.csv") for name, path in write(folder).items()}
    return load(**paths, **FACTS, all_reduce=exchange)


def test_a_table_of_collectives_is_linear_between_its_sizes_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "collective.csv"
    path.write_text("layer,bytes,time_us\nall_reduce,0,10\nall_reduce,100,30\nall_gather,0,5\nall_gather,100,9\n")
    table = read_collective(path)
    assert table.all_reduce(50, 2) == pytest.approx(20e-6)
    assert table.all_gather(25, 2) == pytest.approx(6e-6)
    with pytest.raises(ValueError, match="bytes is 101, and was measured up to 100"):
        table.all_reduce(101, 2)
    path.write_text("layer,bytes,time_us\nall_reduce,0,10\n")
    with pytest.raises(ValueError, match="no row of layer all_gather"):
        read_collective(path)


def test_every_datasheet_of_a_gpu_is_there_and_one_says_its_collective() -> None:
    sheets = {name: datasheet(name) for name in DATASHEETS}
    assert all(sheet is not None and sheet.name == DATASHEETS[name] for name, sheet in sheets.items())
    assert Ring(**sheets["NVIDIA RTX PRO 6000 Blackwell Server Edition"].collective) == Ring(16e9, 20e-6)
    assert datasheet("NVIDIA Imagined") is None


@pytest.mark.parametrize(("model", "devices", "recorded"), [("llama-3.1-8b", 1, 35_913), ("qwen3-32b", 2, 28_884)])
def test_the_kv_of_two_engines_that_recorded_theirs_is_within_3_per_cent(model, devices, recorded) -> None:
    """[R] LLMServingSim 0acc21b and 0d3de68, meta.json: vLLM 0.28 on RTX PRO 6000, 0.92 of 101,976,440,832 bytes."""
    facts = {"memory_bytes": 101_976_440_832, "utilization": 0.92, "seats": 128, "budget": 2048, "block_size": 16}
    blocks = kv_tokens(architecture(model), devices, **facts, element_bytes=2) / 16
    assert abs(blocks / recorded - 1) < 0.03


def test_activations_are_those_of_a_layer_or_of_the_logits() -> None:
    model = architecture("llama-3.1-8b")
    assert activation_bytes(model, 128256, 1, 2048, 2) == 2048 * (2 * 4096 + 3 * 14336) * 2
    assert activation_bytes(model, 128256, 128, 2048, 2) == 2048 * 4096 * 2 + 128 * 128256 * 27
    with pytest.raises(ValueError, match="leave no room for KV beside 16060522496 bytes of weights"):
        kv_tokens(model, 1, memory_bytes=16 << 30, utilization=0.9, seats=1, budget=1, block_size=16, element_bytes=2)


def test_a_rank_has_room_where_the_experts_of_others_would_lie() -> None:
    model = architecture("qwen3-30b-a3b")
    facts = {"memory_bytes": 96 << 30, "utilization": 0.9, "seats": 1, "budget": 1, "block_size": 16}
    alone, rank = (kv_tokens(model, 1, **facts, element_bytes=2, expert_ranks=ranks) for ranks in (1, 2))
    half = 48 * 64 * 3 * 2048 * 768 * 2  # bytes: layers, experts, projections of each
    assert (rank - alone) * model.kv_bytes_per_token(2) == pytest.approx(half, rel=1e-3)
