"""Values against the annotations of what they are given to."""

from __future__ import annotations

import collections.abc
import enum
import importlib
import inspect
import math
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from experiments.settings.ranges import outside
from experiments.settings.wording import did_you_mean, one_line, shown

SPECIAL = {"_target_": str, "_partial_": bool, "_recursive_": bool, "_convert_": str, "_args_": list}
CONVERSIONS = ("none", "partial", "object", "all")
PROJECT = ("sim", "policies", "profiles", "traces", "experiments")
FORWARDS = {"policies.predictor.kernel_ridge.fit_kernel_ridge": "policies.predictor.kernel_ridge.fit_ranks"}


@lru_cache(maxsize=1024)
def target(name: str) -> Any:
    """What `name` names; LookupError says in one line what is not there."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise LookupError(f"{name!r} is no dotted Python name")
    for split in range(len(parts), 0, -1):
        module = ".".join(parts[:split])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and not f"{module}.".startswith(f"{error.name}."):
                raise LookupError(f"{module} needs the module {error.name}, which is not installed") from error
            continue
        except Exception as error:  # a foreign module may fail in any way
            raise LookupError(f"{module} cannot be imported: {type(error).__name__}: {one_line(error)}") from error
        for number, part in enumerate(parts[split:], split):
            if not hasattr(found, part):
                raise LookupError(f"{'.'.join(parts[:number])} has no {part}{did_you_mean(part, dir(found))}")
            found = getattr(found, part)
        return found
    raise LookupError(f"no module {parts[0]}{did_you_mean(parts[0], PROJECT)}")


@lru_cache(maxsize=1024)
def _taken(name: str) -> tuple[dict[str, inspect.Parameter], dict[str, Any], bool]:
    """The parameters of what `name` names, their annotations, and whether it takes any others too."""
    called = target(FORWARDS.get(name, name))
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):
        return {}, {}, True
    try:
        plain = inspect.isclass(called) and not is_dataclass(called)  # fields may be those of a class in another module
        hints = get_type_hints(called.__init__ if plain else called)
    except Exception:  # annotations that exist for a type checker alone
        hints = {}
    named = {
        key: one
        for key, one in signature.parameters.items()
        if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    }
    return named, hints, any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values())


def takes(name: Any, parameter: str) -> bool:
    """Whether what the text `name` names takes `parameter`."""
    try:
        return isinstance(name, str) and parameter in _taken(name)[0]
    except LookupError:
        return False


def node_problems(node: Any, path: str, named: Callable[[str], str]) -> Iterator[str]:
    """A line for each thing wrong with the parts in `node`; `named` tells what to call the setting at a path."""
    if isinstance(node, list):
        for number, inner in enumerate(node):
            yield from node_problems(inner, f"{path}.{number}", named)
    if not isinstance(node, dict):
        return
    if "_target_" in node:
        yield from _call_problems(node, path, named)
    for key, inner in node.items():
        yield from node_problems(inner, f"{path}.{key}", named)


def _call_problems(node: Mapping[str, Any], path: str, named: Callable[[str], str]) -> Iterator[str]:
    name = node["_target_"]
    try:
        called = target(name) if isinstance(name, str) else name
    except LookupError as error:
        yield f"{path}._target_={shown(name)}: {error}"
        return
    if not callable(called):
        yield f"{path}._target_={shown(name)} must name a class or a function"
        return
    for key, kind in SPECIAL.items():
        if key in node and not isinstance(node[key], kind):
            yield f"{path}.{key}={shown(node[key])} must be {_expected(kind)}"
    if node.get("_convert_", "all") not in CONVERSIONS:
        yield f"{path}._convert_={shown(node['_convert_'])} must be {', '.join(CONVERSIONS)}"
    if name == "hydra.utils.get_method" and isinstance(node.get("path"), str):
        try:
            target(node["path"])
        except LookupError as error:
            yield f"{path}.path={shown(node['path'])}: {error}"
    parameters, hints, any_others = _taken(name)
    given = {str(key): value for key, value in node.items() if key not in SPECIAL}
    project = name.split(".")[0] in PROJECT
    positional = 2 if node.get("_partial_") is True else len(node.get("_args_") or ())
    for key in list(parameters)[positional:]:
        if key not in given and parameters[key].default is inspect.Parameter.empty:
            yield f"{path}.{key} is missing: {name} needs it"
    for key, value in given.items():
        if key not in parameters:
            if not any_others:
                takes = f"takes {', '.join(parameters)}" if parameters else "takes no settings"
                yield f"{named(f'{path}.{key}')}: {name} {takes}{did_you_mean(key, parameters)}"
            continue
        yield from _value_problems(value, hints.get(key, Any), f"{path}.{key}", key if project else "", named)


def _value_problems(value: Any, hint: Any, path: str, key: str, named: Callable[[str], str]) -> Iterator[str]:
    """One line if `value` is not what `hint` says, or beyond the bounds of settings called `key`."""
    if problem := (outside(key, value, hint) if key else None) or mismatch(value, hint):
        inner = [(f"{path}.{number}", one) for number, one in _inner(value)]
        wrong = [(at, one) for at, one in inner if mismatch(one, _of(hint)) or (key and outside(key, one))]
        at, one = wrong[0] if wrong and type(value) is dict else (path, value)
        problem = mismatch(one, _of(hint)) or problem if wrong and type(value) is dict else problem
        yield f"{named(at)} {problem}"


def _inner(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _of(hint: Any) -> Any:
    arguments = [one for one in get_args(hint) if one is not type(None)]
    return arguments[-1] if arguments else Any


def mismatch(value: Any, hint: Any) -> str | None:
    """What a value annotated `hint` must be, if `value` is not; None where it is, or where nobody can tell."""
    problem = _mismatch(value, hint)
    whole = isinstance(value, float) and abs(value) < 1e15 and value == int(value)
    return f"{problem}, written {int(value)}" if problem and whole and _allows(hint, int) else problem


def _allows(hint: Any, kind: type) -> bool:
    return hint is kind or kind in get_args(hint)


def _mismatch(value: Any, hint: Any) -> str | None:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        found = [_mismatch(value, one) for one in arguments]
        if not all(found):
            return None
        wanted = [_expected(one) for one in arguments if one is not type(None)]
        null = ", or null" if type(None) in arguments else ""
        single = [one for one, kind in zip(found, arguments, strict=True) if kind is not type(None)]
        return f"{single[0]}{null}" if len(single) == 1 else f"must be {' or '.join(dict.fromkeys(wanted))}{null}"
    if origin is Literal:
        words = ", ".join(map(shown, arguments))
        return None if value in arguments else f"must be one of {words}{did_you_mean(str(value), map(str, arguments))}"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return None
    if hint is float or hint is int or hint is bool or hint is str:
        return _plain(value, hint)
    if hint is type(None):
        return None if value is None else "must be null"
    base = origin or hint
    if base in (collections.abc.Mapping, dict):
        if not isinstance(value, dict):
            return f"must be {_expected(hint)}"
        return _first(value.values(), arguments[1] if len(arguments) == 2 else Any, hint)
    if base in (collections.abc.Sequence, list, tuple):
        if not isinstance(value, list):
            return f"must be {_expected(hint)}"
        kinds = [one for one in arguments if one is not Ellipsis]
        return _first(value, kinds[0] if len(set(kinds)) == 1 else Any, hint)
    if hint is Path:
        return _plain(value, str)
    part = base is collections.abc.Callable or (isinstance(hint, type) and hint.__module__.split(".")[0] in PROJECT)
    if part and not (isinstance(value, dict) and "_target_" in value):
        return "must be a part: a mapping with a _target_"
    return None


def _first(values: Any, kind: Any, hint: Any) -> str | None:
    """`hint` is a collection of `kind`: the first thing wrong with `values`."""
    for value in values:
        if _mismatch(value, kind):
            return f"must be {_expected(hint)}, got {shown(value)} in it"
    return None


def _plain(value: Any, kind: type) -> str | None:
    right = isinstance(value, int | float if kind is float else kind) and isinstance(value, bool) is (kind is bool)
    if right and (not isinstance(value, float) or math.isfinite(value)):
        return None
    return f"must be {_expected(kind)}"


def _expected(hint: Any) -> str:
    words = {float: "a finite number", int: "a whole number", bool: "true or false", str: "text", list: "a list"}
    if hint in words:
        return words[hint]
    if hint is Path:
        return "text"
    base = get_origin(hint) or hint
    inner = [one for one in get_args(hint) if one is not Ellipsis]
    many = {float: " of finite numbers", int: " of whole numbers", bool: " of true or false", str: " of texts"}
    if base in (collections.abc.Sequence, list, tuple):
        return "a list" + (many.get(inner[0], "") if inner else "")
    if base in (collections.abc.Mapping, dict):
        return "a mapping" + (many.get(inner[-1], "") if inner else "")
    return "a part" if isinstance(base, type) else "something else"
