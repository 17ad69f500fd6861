"""What the loader keeps, and reads by libyaml, is what Hydra and OmegaConf make of it."""

from __future__ import annotations

import omegaconf._utils
import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode
from omegaconf import OmegaConf

from experiments.conf import HERE, loader

FILES = sorted(HERE.rglob("*.yaml"))


def test_every_yaml_that_ships_reads_as_omegaconf_reads_it():
    assert len(FILES) > 100
    for file in FILES:
        read = [yaml.load(file.read_bytes(), Loader=one) for one in (loader._libyaml(), loader._yaml_known())]
        assert repr(read[0]) == repr(read[1]), file


@pytest.mark.parametrize(
    "text", ["a: 1e3\nb: .5\nc: 2020-01-01\nd: 'yes'\ne: off\n", "1: 0x10\nx: [~, null, 1_000]\n", "", "- 1:30\n- .inf"]
)
def test_numbers_and_words_are_told_apart_by_omegaconfs_rules(text):
    read = [yaml.load(text, Loader=one) for one in (loader._libyaml(), loader._yaml_known())]
    assert repr(read[0]) == repr(read[1])


def test_files_of_others_are_read_as_omegaconf_reads_them(tmp_path):
    with loader._reading(HERE / "config.yaml"):
        assert omegaconf._utils.get_yaml_loader() is loader._libyaml()
    with loader._reading(tmp_path / "mine.yaml"):
        assert omegaconf._utils.get_yaml_loader is loader._yaml_known


def test_a_key_that_stands_twice_is_refused():
    with pytest.raises(yaml.constructor.ConstructorError, match="found duplicate key a"):
        yaml.load("a: 1\na: 2", Loader=loader._libyaml())


@pytest.mark.parametrize(
    "overrides",
    [[], ["policy=rtlm", "trace.rate=3"], ["experiment=rtlm/main", "seed=7", "+trace.extra=1", "~reward"]],
)
def test_a_configuration_is_that_of_hydra(overrides):
    path = create_config_search_path("pkg://experiments.conf")
    ours, again, hydras = (
        kind(path).load_configuration("config", overrides, RunMode.RUN)
        for kind in (loader.Loader, loader.Loader, ConfigLoaderImpl)
    )
    for one in (ours, again):
        assert OmegaConf.to_yaml(one) == OmegaConf.to_yaml(hydras)
