"""A row of trials.csv, one trial: its columns, their types and ranges, and what else must hold of its values."""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dps.protocol import metaparameters
from dps.protocol.outcome import STATUSES
from dps.protocol.values import is_int, is_number

DTYPES = {str: "str", int: "Int64", float: "float64"}  # of the columns of all frames
NOUNS: dict[type, str] = {str: "text", int: "an integer", float: "a number"}


@dataclass(frozen=True)
class Column:
    """The type of a column's values, and of numbers the range, such as "[0, 1)"; any of them may be empty."""

    type: type[str | float]
    range: str = "(-inf, inf)"

    def wrong(self, value: Any) -> str:
        """What is wrong with a value; "" where nothing is."""
        fits = {str: lambda: isinstance(value, str), int: lambda: is_int(value), float: lambda: is_number(value)}
        if not fits[self.type]():
            return f"{value!r} is not {NOUNS[self.type]}"
        if self.type is not str and not metaparameters.contains(self.range, value):
            return f"{value} is not in {self.range}"
        return ""


INTEGERS = 2**63  # of 64 bits, as a frame has them
POSITIVE, COUNTED = Column(int, f"[1, {INTEGERS})"), Column(int, f"[0, {INTEGERS})")
FRACTION, SECONDS = Column(float, "[0, 1]"), Column(float, "[0, inf)")
_BEFORE: dict[str, Column] = {
    **dict.fromkeys(("workload", "dataset", "model", "optimizer", "lr_schedule", "pruning"), Column(str)),
    "batch_size": POSITIVE,
    "sparsity": Column(float, "[0, 1)"),
    **dict.fromkeys(("replicate", "trial", "seed"), COUNTED),
}
_AFTER: dict[str, Column] = {
    "goal_error": Column(float, "[0, 1)"),
    **dict.fromkeys(("interval_steps", "max_steps"), POSITIVE),
    "status": Column(str),
    **dict.fromkeys(("steps_to_result", "steps_run"), POSITIVE),
    **dict.fromkeys(("validation_error", "test_error"), FRACTION),
    **dict.fromkeys(("train_seconds", "evaluate_seconds"), SECONDS),
}
# Between them stand the metaparameters: those of the protocol, then those that a configuration declares.
KNOWN = _BEFORE | {row.name: Column(row.type, row.range) for row in metaparameters.TABLE} | _AFTER
DECLARED = Column(float)
TYPES = {name: column.type for name, column in KNOWN.items()}
COLUMNS = tuple(KNOWN)
ADDED = tuple(row.name for row in metaparameters.ADDED)
FORMERLY_ABSENT = ("replicate",)  # from records of before version 0.2
Row = dict[str, Any]


def with_declared(names: Iterable[str]) -> tuple[str, ...]:
    """COLUMNS, with those of the names that are not among them after the metaparameters of the protocol."""
    declared = dict.fromkeys(name for name in names if name not in KNOWN)
    last = list(_AFTER)
    return (*(name for name in COLUMNS if name not in last), *declared, *last)


def expected(header: Sequence[str]) -> tuple[str, ...]:
    """The columns of a record with as many declared metaparameters as the header has, by the names that it has.

    Those that were added since may be among the declared ones, or absent.
    """
    known = [name for name in COLUMNS if name not in ADDED and (name in header or name not in FORMERLY_ABSENT)]
    first = len(known) - len(_AFTER)
    others = header[first : first + max(0, len(header) - len(known))]
    return (*known[:first], *dict.fromkeys(name for name in others if name not in known), *known[first:])


def types(names: Sequence[str], rows: Sequence[Row]) -> dict[str, type[str | float]]:
    """Those of the columns; a declared metaparameter is of integers where all its values are."""
    declared = {name: [row[name] for row in rows] for name in names if name not in KNOWN}
    return {**TYPES, **{name: type_of(values) for name, values in declared.items()}}


def type_of(values: Iterable[float | None]) -> type[float]:
    """int where all that are known are integers that a frame can hold."""
    whole = (isinstance(one, int) and abs(one) < INTEGERS for one in values if one is not None)
    return int if all(whole) else float


def parsed(texts: Mapping[str, str]) -> Row:
    """The values of a row's texts, None where a number is empty; a record of before replicates is that of replicate 0.

    ValueError, which begins with the column, where they are not of its type or range or do not fit together.
    """
    full = {"replicate": "0"} | dict.fromkeys(ADDED, "") | dict(texts)
    row: Row = {name: value(name, text, TYPES.get(name)) for name, text in full.items()}
    check(row)
    return row


def value(name: str, text: str, kind: type[str | float] | None) -> Any:
    """What a cell of a column of this type holds, None where a number is empty; None: of a declared metaparameter.

    ValueError, which begins with the column, where it is not of that type.
    """
    kind = kind or (int if text.lstrip("-").isdecimal() else float)
    try:
        return kind(text) if text or kind is str else None
    except ValueError:
        raise ValueError(f"{name}: {text!r} is not {NOUNS[kind]}") from None


def converted(row: Mapping[str, Any], names: Sequence[str]) -> Row:
    """The row under these columns; what is NaN or absent becomes None. ValueError as `parsed` raises it."""
    assert set(row) <= set(names), f"unknown columns {set(row) - set(names)}"
    full = {name: of_type(TYPES.get(name, type(row.get(name))), row.get(name)) for name in names}
    check(full)
    return full


def of_type(kind: type, given: Any) -> str | float | None:
    """A value as a column of this type has it, None or "" where it is empty."""
    if kind is str:
        return "" if given is None else str(given)
    if given is None or math.isnan(given):
        return None
    return operator.index(given) if kind is int else float(given)


def check(row: Row) -> None:
    """ValueError, which begins with the column, where a value is out of its range or does not fit the others."""
    for name, one in row.items():
        if one is not None and (wrong := KNOWN.get(name, DECLARED).wrong(one)):
            raise ValueError(f"{name}: {wrong}")
    status, steps, run = (row[name] for name in ("status", "steps_to_result", "steps_run"))
    interval, most = row["interval_steps"] or 1, row["max_steps"]
    end = {"complete": steps, "incomplete": most}.get(status)
    rules = (
        ("trial", row["trial"] is not None, "it is empty"),
        ("status", status in STATUSES, f"{status!r} is not one of {', '.join(STATUSES)}"),
        ("steps_to_result", (steps is not None) == (status == "complete"), "exactly the complete trials have one"),
        ("steps_to_result", (steps or 0) % interval == 0, f"{steps} is no multiple of interval_steps, {interval}"),
        ("steps_to_result", most is None or (steps or 0) <= most, f"{steps} is more than max_steps, {most}"),
        ("steps_run", most is None or (run or 0) <= most, f"{run} is more than max_steps, {most}"),
        ("steps_run", None in (run, end) or run == end, f"{run} is not {end}, where a trial that is {status} ends"),
    )
    for name, holds, wrong in rules:
        if not holds:
            raise ValueError(f"{name}: {wrong}")
