"""How values are written for people: on the page, in the terminal, and in figures."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from numbers import Integral
from typing import Any

from dps.protocol.metaparameters import TABLE, Metaparameter

NOTHING = "-"


def near_one(metaparameters: Iterable[Metaparameter]) -> frozenset[str]:
    """The names of those whose values, like a momentum's, matter by their distance to 1."""
    return frozenset(one.name for one in metaparameters if one.scale == "one_minus_log")


def shown(name: str, value: Any, precise: Collection[str] = near_one(TABLE)) -> str:
    """A value of the column: three significant digits, four in a `precise` one, integers whole; NOTHING where empty."""
    if is_empty(value):
        return NOTHING
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.4g}" if name in precise else f"{value:.3g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e7 else text


def interval(name: str, low: Any, high: Any) -> str:
    """The interval in words, an unknown end left open; nothing where both are unknown.

    A number that is not negative is known to be at least zero, which is no bound.
    """
    if is_empty(low) and is_empty(high):
        return ""
    if is_empty(high) and low == 0:
        return "not bounded"
    if is_empty(high):
        return f"at least {shown(name, low)}"
    if is_empty(low):
        return f"at most {shown(name, high)}"
    return f"{shown(name, low)} to {shown(name, high)}"


def metaparameter(value: float) -> str:
    """A metaparameter of any kind: three significant digits, near 1 two of its distance to 1, integers whole."""
    if isinstance(value, Integral):
        return str(value)
    if 0.9 < value < 1:
        decimals = max(3, math.ceil(-math.log10(1 - value)) + 1)
        return f"{value:.{decimals}f}".rstrip("0")
    return f"{value:.3g}"


def sparsity_name(sparsity: float) -> str:
    """ "dense", or for example "90% sparse"."""
    return f"{100 * sparsity:.6g}% sparse" if sparsity else "dense"


def trials_a_study(counts: Iterable[int]) -> str:
    """For example "100 trials a study", or "4 to 6 trials a study", of the numbers of trials of several studies."""
    return f"{counted(counts, 'trial')} a study"


def counted(counts: Iterable[int], noun: str) -> str:
    """For example "1 trial" or "2 to 3 trials", of several numbers of them."""
    low, high = min(counts := list(counts)), max(counts)
    count = str(low) if low == high else f"{low} to {high}"
    return f"{count} {noun if count == '1' else f'{noun}s'}"


def is_empty(value: Any) -> bool:
    """Whether a cell of a frame holds nothing: no value, or the empty text."""
    import pandas as pd

    return bool(pd.isna(value)) or value == ""
