"""Read what a yaml of conf/analytic says: a device's datasheet, or how an engine launches operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any, TypeVar

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

Sheet = TypeVar("Sheet")


def read(kind: type[Sheet], group: str, given: DictConfig) -> Sheet:
    """The `kind` (a dataclass of numbers) that `given` states; ValueError in one line with its file and the keys."""
    said: Any = OmegaConf.to_container(given, resolve=True)
    return checked(kind, _file(group), said)


def checked(kind: type[Sheet], file: str, said: Mapping[str, Any]) -> Sheet:
    """The `kind` that a file has said; ValueError in one line with the file and the keys."""
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    missing = [key for key, field in known.items() if key not in said and field.default is MISSING]
    wrong = []
    for key in said:
        if key not in known:
            near = get_close_matches(str(key), missing, 1, 0.7) or get_close_matches(str(key), known, 1, 0.7)
            missing = [one for one in missing if one not in near]
            wrong.append(f"{key} is no key of it{f', did you mean {near[0]}?' if near else ''}")
    if missing:
        wrong.append(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    if not wrong:
        for key, value in said.items():
            wrong += _no_number(key, value, kind.__annotations__[key])
    if wrong:
        raise ValueError(f"{file}: {'; '.join(wrong)}")
    return kind(**said)


def _no_number(key: str, value: Any, type_: str) -> list[str]:
    """What is said of a value that ought to be a number, or a number by dtype, and is none."""
    if type_ == "str":
        return []
    if type_.startswith("Mapping"):
        if not isinstance(value, Mapping):
            return [f"{key} must be a number for each dtype, as bfloat16: 312e12, got {value!r}"]
        return [line for dtype, part in value.items() for line in _no_number(f"{key}.{dtype}", part, "float")]
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return [] if good else [f"{key} must be a number, got {value!r}"]


def _file(group: str) -> str:
    """The yaml of the choice that this command made of `group`."""
    name = HydraConfig.get().runtime.choices.get(group, "NAME") if HydraConfig.initialized() else "NAME"
    return f"profiles/conf/analytic/{group}/{name}.yaml"
