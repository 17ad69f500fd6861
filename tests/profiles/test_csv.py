"""Profiles from others' csv tables: made rows, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from profiles import import_splitwise, import_vidur
from profiles.csv_table import checked, read_csv
from profiles.operators.architecture import ARCHITECTURES, Architecture
from profiles.operators.decoder import pass_seconds
from profiles.operators.vidur import OTHERS, PRODUCTS, VidurLink, VidurTimes, median, read_attention, read_products
from profiles.point import decode_point, prefill_point
from profiles.profile import load_path
from tests.conftest import ROOT

TINY = Architecture(2, 8, 4, 2, 2, 16, True, 101, 64, 1000)


def config_of(name, *overrides):
    with initialize_config_dir(str(ROOT / "profiles/conf"), version_base="1.3"):
        return compose(name, overrides=list(overrides))


def test_a_bad_value_is_named_by_file_line_and_column(tmp_path, capsys):
    path = tmp_path / "made.csv"
    path.write_text("size,time\n1,2.5\n2,none\n3,-1\n4,1\n")
    table = read_csv(path, ("size", "time"))
    with pytest.raises(ValueError, match=r"made.csv:3: time must be positive, got 'none'"):
        checked(table, path, ("time",), 0, skip_bad=False)
    kept = checked(table, path, ("time",), 0, skip_bad=True)
    assert kept["time"].tolist() == [2.5, 1.0]
    assert "2 of 4 lines left out" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"made.csv:2: size must be 2 or more, got "):
        checked(table, path, ("size",), 2, skip_bad=False)


def test_a_file_that_lacks_a_column_or_is_none_is_named(tmp_path):
    (tmp_path / "made.csv").write_text("size\n1\n")
    with pytest.raises(ValueError, match=r"made.csv: no column time, power"):
        read_csv(tmp_path / "made.csv", ("size", "time", "power"))
    with pytest.raises(ValueError, match=r"none.csv: .*No such file"):
        read_csv(tmp_path / "none.csv", ("size",))


def splitwise_rows():
    """Three repeats of each size; the last size's batch ran in parts."""
    rows = []
    sizes = [(1, prompt, 128) for prompt in (128, 512, 2048, 8192)] + [(b, 512, 128) for b in (2, 4, 8, 16, 64)]
    for batch, prompt, output in sizes:
        for repeat in range(3):
            prompt_time = 50 + 0.1 * batch * prompt + repeat
            token_time = 30 + 0.2 * batch + 0.001 * prompt
            made = output * 10 if batch == 64 else output
            rows.append(
                {"model": "llama2-70b", "hardware": "a100-80gb", "tensor_parallel": 8, "batch_size": batch}
                | {"prompt_size": prompt, "token_size": output, "prompt_time": prompt_time, "token_time": token_time}
                | {"e2e_time": prompt_time + (made - 1) * token_time}
            )
    return pd.DataFrame(rows)


def test_a_splitwise_table_is_two_phases(tmp_path):
    splitwise_rows().to_csv(tmp_path / "made.csv", index=False)
    table, parted = import_splitwise.read_table(str(tmp_path / "made.csv"), "llama2-70b", "a100-80gb", 8, False)
    assert parted == 3, "the batch of 64 took ten times the steps that were asked for"
    samples = import_splitwise.samples_of(table, max_prefill_tokens=4096, context_seconds=1e-6)
    own = samples[~samples["derived"]].set_index(["phase", "batch", "new", "computed"])["seconds"]
    assert own["prefill", 2, 512, 0] == pytest.approx((50 + 102.4 + 1) / 1e3), "the median of the repeats"
    assert ("prefill", 16, 512, 0) not in own.index, "8,192 tokens"
    assert own["decode", 4, 1, 512 + 64 - 1] == pytest.approx((30 + 0.8 + 0.512) / 1e3)
    made = samples[samples["derived"]].set_index("batch")
    assert (made["computed"] == 8192 + 64 - 1).all()
    assert made.loc[4, "seconds"] == pytest.approx((30 + 0.8 + 0.512) / 1e3 + 4 * 7680 * 1e-6)


def test_answers_that_end_before_count_by_the_steps_taken():
    rows = splitwise_rows().iloc[:1].assign(token_size=4096)
    assert import_splitwise.tokens_made(rows).iloc[0] == pytest.approx(128)
    assert import_splitwise.ran_together(rows).all()


def test_a_splitwise_profile_is_fitted_and_released(tmp_path):
    splitwise_rows().to_csv(tmp_path / "made.csv", index=False)
    config = config_of("import_splitwise", f"table={tmp_path / 'made.csv'}", f"output={tmp_path / 'out.json'}")
    profile = load_path(import_splitwise.import_profile(config))
    assert (profile.model, profile.device, profile.kind) == ("llama-2-70b", "a100-80gb_tp8", "imported")
    assert profile.provenance["lines_left_out"] == 3
    assert profile.provenance["tensor_parallelism"] == 8
    assert profile.kv_bytes_per_token == 2 * 80 * 8 * 128 * 2
    assert profile.prefill.time(512, 512 * 513 // 2) == pytest.approx(0.1022, rel=0.1)


@pytest.mark.parametrize("module", [import_splitwise, import_vidur])
def test_a_command_without_its_table_says_so_in_one_line(module, monkeypatch):
    monkeypatch.setattr("sys.argv", ["import"])
    with pytest.raises(SystemExit, match="Missing mandatory value"):
        module.main()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=gpt9", "unknown model 'gpt9'; known: llama2-70b, bloom-176b"),
        (
            "tensor_parallelism=2",
            "nothing of llama2-70b on a100-80gb, tensor_parallel 2; it has llama2-70b on a100-80gb",
        ),
    ],
)
def test_a_splitwise_table_names_what_it_has(tmp_path, override, message):
    splitwise_rows().to_csv(tmp_path / "made.csv", index=False)
    with pytest.raises(ValueError, match=message):
        import_splitwise.import_profile(config_of("import_splitwise", f"table={tmp_path / 'made.csv'}", override))


def vidur_files(folder, devices=1):
    """Tables of TINY in Vidur's columns: a product takes 1 ms and 0.1 ms a token, attention by batch and context."""
    mlp = pd.DataFrame({"num_tokens": [1, 4, 16, 64]})
    for operator in PRODUCTS + OTHERS:
        mlp[median(operator)] = (1.0 if operator in PRODUCTS else 0.01) + 0.1 * mlp["num_tokens"]
    mlp = mlp.assign(n_head=4, n_kv_head=2, n_embd=8, n_expanded_embd=16, vocab_size=101)
    mlp["num_tensor_parallel_workers"] = devices
    prompts = [(1, new, computed, True) for new in (4, 16, 64) for computed in (0, 16, 64)]
    steps = [(batch, 0, computed, False) for batch in (1, 4, 16) for computed in (16, 64, 256)]
    attention = pd.DataFrame(
        prompts + steps, columns=["batch_size", "prefill_chunk_size", "kv_cache_size", "is_prefill"]
    )
    cost = 0.5 + 1e-3 * attention["batch_size"] * attention["kv_cache_size"] + 1e-2 * attention["prefill_chunk_size"]
    attention[median("attn_prefill")] = cost.where(attention["is_prefill"], 0.0)
    attention[median("attn_decode")] = cost.where(~attention["is_prefill"], 0.0)
    attention[median("attn_kv_cache_save")] = 0.25
    attention = attention.assign(n_embd=8, n_q_head=4, n_kv_head=2, block_size=16, num_tensor_parallel_workers=devices)
    reduce = pd.DataFrame({"num_workers": 2, "devices_per_node": 2, "collective": "all_reduce", "size": [16, 1024]})
    reduce[median("all_reduce")] = [0.1, 1.1]
    paths = {}
    for name, table in {"mlp": mlp, "attention": attention, "all_reduce": reduce}.items():
        paths[name] = folder / f"{name}.csv"
        table.to_csv(paths[name], index=False)
    return paths


def vidur_times(paths, devices=1):
    products = read_products(str(paths["mlp"]), TINY, devices, skip_bad=False)
    attention = read_attention(str(paths["attention"]), TINY, devices, 16, skip_bad=False)
    return VidurTimes(products, attention, TINY.sharded(devices))


def test_vidurs_operators_are_composed(tmp_path):
    times = vidur_times(vidur_files(tmp_path))
    product, other = 1 + 0.1 * 4, 0.01 + 0.1 * 4
    attention = 0.5 + 1e-2 * 4 + 1e-3 * 16 + 0.25 + other
    head = (1 + 0.1) * 101 / 32
    by_hand = other + 2 * (4 * product + attention + other + 2 * 2 * other) + head
    assert pass_seconds(TINY, times, prefill_point(1, 4, 16), 0.5) == pytest.approx(0.5 + by_hand / 1e3)
    assert times.gemm(10, 32, 8) == pytest.approx((1 + 1.0) / 1e3), "between 4 and 16 tokens"
    assert decode_point(4, 65) in times.points()
    assert prefill_point(1, 64) in times.points()


def test_vidurs_all_reduce_is_by_bytes(tmp_path):
    link = VidurLink(str(vidur_files(tmp_path)["all_reduce"]), 2, skip_bad=False)
    assert link.all_reduce(260, 2) == pytest.approx(0.6e-3)
    assert link.all_reduce(1024, 2) == pytest.approx(2.2e-3), "twice the largest"
    with pytest.raises(ValueError, match=r"all_reduce.csv: no line of .*'num_workers': 4"):
        VidurLink(str(tmp_path / "all_reduce.csv"), 4, skip_bad=False)


@pytest.mark.parametrize("devices", [1, 2])
def test_a_vidur_profile_is_fitted_and_released(tmp_path, monkeypatch, devices):
    monkeypatch.setitem(ARCHITECTURES, "tiny", TINY)
    paths = [f"{name}={path}" for name, path in vidur_files(tmp_path, devices).items()]
    given = (*paths, "model=tiny", f"tensor_parallelism={devices}", f"output={tmp_path / 'out.json'}")
    profile = load_path(import_vidur.import_profile(config_of("import_vidur", *given)))
    assert (profile.kind, profile.max_model_len) == ("imported", 64)
    assert profile.provenance["tensor_parallelism"] == devices
    assert np.isfinite(profile.decode.time(4, 4 * 65))
    if devices == 2:
        with pytest.raises(ValueError, match="tensor_parallelism=2 needs all_reduce=PATH"):
            import_vidur.import_profile(config_of("import_vidur", *given, "all_reduce=null"))


def test_a_vidur_table_of_another_model_or_without_a_time_is_refused(tmp_path):
    paths = vidur_files(tmp_path)
    with pytest.raises(ValueError, match=r"mlp.csv: no line of .*'n_head': 12"):
        read_products(str(paths["mlp"]), ARCHITECTURES["gpt2"], 1, skip_bad=False)
    with pytest.raises(ValueError, match=r"attention.csv: no line of .*'block_size': 32"):
        read_attention(str(paths["attention"]), TINY, 1, 32, skip_bad=False)
    table = pd.read_csv(paths["mlp"])
    table.loc[2, median("mlp_act")] = 0.0
    table.to_csv(paths["mlp"], index=False)
    with pytest.raises(ValueError, match=r"mlp.csv:4: time_stats.mlp_act.median must be positive, got "):
        read_products(str(paths["mlp"]), TINY, 1, skip_bad=False)
    assert len(read_products(str(paths["mlp"]), TINY, 1, skip_bad=True)) == 3
