"""The import of kernel tables: each sample is the sum of its kernels, and the command writes a profile that loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from profiles.import_kernel_tables import import_profile, sample_points, step_of
from profiles.kernel_profile import load
from profiles.point import decode_point, prefill_point
from profiles.profile import load_path
from sim.step import Step, attended_tokens
from tests.conftest import ROOT
from tests.profiles.test_kernel import tiny


def test_a_sample_is_the_sum_of_its_kernels(tmp_path: Path) -> None:
    kernels = tiny(tmp_path)
    points = [prefill_point(1, 16, 64), prefill_point(2, 8), decode_point(2, 64)]
    steps = [
        Step(16, attended_tokens(16, 64), prefill_jobs=1),
        Step(16, 2 * attended_tokens(8, 0), prefill_jobs=2),
        Step(0, 0, 2, 128),
    ]
    assert [step_of(point) for point in points] == steps
    samples = sample_points(kernels, points)
    assert samples["seconds"].tolist() == [kernels.step_time(step) for step in steps]
    assert samples["phase"].tolist() == ["prefill", "prefill", "decode"]


def synthetic(folder: Path) -> Path:
    """Tables whose times follow a formula, under one prefix: 1 us a token, a hundredth of that a token of context."""
    contexts, jobs, chunks = (16, 64, 256, 1024), (1, 2, 4, 8), (16, 64, 256)
    alone = [(0, 0, n, c, 5 + 0.01 * n * c) for n in jobs for c in contexts]
    prompts = [(c, k, 0, 0, 5 + 0.001 * c * k + 0.0005 * c * c) for c in chunks for k in (0, *contexts)]
    mixed = [
        (c, k, n, d, 5 + 0.001 * c * k + 0.01 * n * d)
        for c in chunks
        for k in (0, 1024)
        for n in jobs
        for d in (16, 1024)
    ]
    columns = ["prefill_chunk", "kv_prefill", "n_decode", "kv_decode", "time_us"]
    pd.DataFrame([*alone, *prompts, *mixed], columns=columns).to_csv(folder / "made_attention.csv.gz", index=False)
    for name, coordinate, layers in (
        ("dense", "tokens", ("qkv_proj", "down_proj", "layernorm", "embedding", "final_layernorm")),
        ("per_sequence", "sequences", ("lm_head", "sampler")),
    ):
        rows = [(layer, at, 20.0 + at) for layer in layers for at in (1, 16, 64, 264)]
        pd.DataFrame(rows, columns=["layer", coordinate, "time_us"]).to_csv(folder / f"made_{name}.csv.gz", index=False)
    return folder / "made"


def test_other_tables_make_a_profile_untouched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out" / "made.json"
    settings = {
        "prefix": synthetic(tmp_path), "output": output, "tables.device": "made", "tables.layers": 4,
        "grid.max_context": 1024, "grid.max_prefill_tokens": 256, "grid.decode.batch": [1, 2, 3, 4, 5, 6, 7, 8],
    }  # fmt: skip
    with initialize_config_dir(str(ROOT / "profiles" / "conf"), version_base="1.3"):
        config = compose("import_kernel_tables", overrides=[f"{key}={value}" for key, value in settings.items()])
    import_profile(config)
    assert "left-out points" in capsys.readouterr().out
    fitted = load_path(output)
    assert (fitted.model, fitted.device, fitted.kind) == ("llama-3.1-8b", "made", "imported")
    tables = OmegaConf.to_container(config.tables, resolve=True)
    kernels = load(**{name: value for name, value in tables.items() if name != "_target_"})
    assert fitted.kv_capacity_tokens == kernels.kv_capacity_tokens
    for step in (Step(0, 0, 4, 2000), Step(128, attended_tokens(128, 512)), Step(0, 0, 8, 8 * 900)):
        assert fitted.step_time(step) == pytest.approx(kernels.step_time(step), rel=0.05)
    assert {path.name for path in output.parent.iterdir()} == {"made.json", "made.samples.parquet", "made.png"}
    assert np.isfinite(pd.read_parquet(output.with_suffix(".samples.parquet"))["seconds"]).all()
