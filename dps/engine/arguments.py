"""A plain configuration held against what it is for: which keys a callable or a section takes, and what each may be.

An `option` is a key as it is typed. A value of ... is one that others check. Options that are `elsewhere` need not be
given, for they are handed over when the rest is.
"""

import dataclasses
import inspect
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from dps.engine import targets
from dps.engine.leaf import check_leaf
from dps.engine.options import Part
from dps.protocol.values import require_typed

Given = Mapping[str, Any]


def check_arguments(of: Callable[..., Any], given: Given, option: str, elsewhere: Collection[str] = ()) -> None:
    """ValueError where a callable, or the dataclass of a section, would not take the values that it is given.

    `option` is that of the mapping, with a dot after it, or empty.
    """
    try:
        takes = inspect.signature(of).parameters
    except ValueError:  # of what is written in C
        return
    named = {name: one for name, one in takes.items() if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
    keys = [key for key in given if not key.startswith("_")]
    unknown = [key for key in keys if key not in named]
    if unknown and all(one.kind != one.VAR_KEYWORD for one in takes.values()):
        who = option.rstrip(".") if dataclasses.is_dataclass(of) else given.get("_target_")
        right = f"{who} takes {', '.join(named) or 'none'}" if who else "`dps --cfg job` lists those there are"
        raise ValueError(f"{option}{unknown[0]} is not an option: {right}")
    _check_complete(of, named, given, option, elsewhere)
    hints = _hints(of)
    for key in keys:
        if not (key in named and given[key] is None is named[key].default):
            check_value(f"{option}{key}", given[key], hints.get(key, Any), elsewhere)
    check_value(f"{option}_args_", given.get("_args_", []), Any, elsewhere)


def check_value(option: str, value: Any, hint: Any, elsewhere: Collection[str] = ()) -> None:
    """ValueError unless a value, and all that is within it, is what the annotation `hint` says."""
    if value is ...:
        return
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    table = next((kind for kind in kinds if get_origin(kind) is dict), None)
    section = next((kind for kind in kinds if dataclasses.is_dataclass(kind)), None)
    if isinstance(value, dict) and section is not None:
        check_arguments(section, value, f"{option}.", elsewhere)  # type: ignore[arg-type]
    elif isinstance(value, dict) and "_target_" in value:
        made = targets.load(f"{option}._target_", value["_target_"])
        check_arguments(made, value, f"{option}.", elsewhere)
    elif isinstance(value, dict) and table is not None:
        for key, one in value.items():
            check_value(f"{option}.{key}", one, get_args(table)[1], elsewhere)
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for number, one in enumerate(value):
            check_value(f"{option}[{number}]", one, Any, elsewhere)
    elif section is not None and (value is not None or types.NoneType not in kinds):
        names = ", ".join(field.name for field in dataclasses.fields(section))
        require_typed(False, option, value, f"a mapping of {names}")
    elif hint is Part or (Part in kinds and isinstance(value, dict)):
        require_typed(False, option, value, "a mapping with a _target_")
    else:
        check_leaf(option, value, hint)


def _check_complete(
    of: Callable[..., Any],
    named: Mapping[str, inspect.Parameter],
    given: Given,
    option: str,
    elsewhere: Collection[str],
) -> None:
    """What is `_partial_` gets its first argument when it is called."""
    names = () if "_args_" in given else list(named)[1 if given.get("_partial_") else 0 :]
    for name in names:
        key = f"{option}{name}"
        if named[name].default is inspect.Parameter.empty and name not in given and key not in elsewhere:
            remedy = "every study needs it" if dataclasses.is_dataclass(of) else f"give one, as in {key}=VALUE"
            raise ValueError(f"{key} has no value: {remedy}")


def _hints(of: Callable[..., Any]) -> dict[str, Any]:
    try:
        called = inspect.getattr_static(of, "__init__") if isinstance(of, type) else of
        return get_type_hints(called, include_extras=True)
    except (NameError, TypeError):  # written for a type checker alone, which imports what they name
        return {}
