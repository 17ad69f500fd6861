"""What in a configuration refers to what: its interpolations, followed without being resolved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

REFERENCE = re.compile(r"\$\{(\.*)([A-Za-z_][\w.\[\]-]*)\}")


def leaves(node: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value, not resolved, of all that lies in `node`; a list of plain values is one value."""
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node, resolve=False)
    if isinstance(node, list) and not any(isinstance(one, dict | list) or "${" in str(one) for one in node):
        return {prefix: node}
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found: dict[str, Any] = {}
    for key, value in inner:
        found.update(leaves(value, f"{prefix}.{key}" if prefix else str(key)))
    return found if found or not prefix else {prefix: node}


def behind(raw: Mapping[str, Any], path: str) -> set[str]:
    """Of the leaves `raw`, every one that says what stands at `path` and below it."""
    found: set[str] = set()
    left = [name for name in raw if within(name, path)]
    while left:
        key = left.pop()
        if key not in found:
            found.add(key)
            left += [name for target in references(key, raw[key]) for name in raw if within(name, target)]
    return found


def has(cfg: DictConfig, key: str) -> bool:
    """Whether `cfg` holds the setting `key`, with a value or without one."""
    folder, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, folder, throw_on_resolution_failure=False) if folder else cfg
    return OmegaConf.is_dict(node) and name in node


def within(key: str, place: str) -> bool:
    """Whether the setting `key` is `place`, or lies below it."""
    return key == place or key.startswith(f"{place}.")


def references(key: str, value: Any) -> Iterator[str]:
    """The settings that the `value` of `key` refers to."""
    for match in REFERENCE.finditer(value) if isinstance(value, str) else ():
        yield absolute(key, match)


def absolute(key: str, match: re.Match[str]) -> str:
    """The setting that a reference in the value of `key` means, by its dotted name from the top."""
    dots, name = match[1], plain_key(match[2])
    if not dots:
        return name
    return ".".join([*key.split(".")[: -len(dots)], name])


def plain_key(key: str) -> str:
    """`a[0].b` as `a.0.b`."""
    return re.sub(r"\[([^\]]*)\]", r".\1", key)
