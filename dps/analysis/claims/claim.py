"""What a judged claim is, and what the rules have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

SPARSE = 0.9  # the reference study's claims about sparse networks are about this sparsity
AT_SPARSE = f"{SPARSE:.0%}"
LEAST_PAIRS = 3  # of studies, or of steps, sparse and dense, that are enough to judge
P_VALUE = 0.05  # one-sided
WORDS = {0.1: "one in ten", 0.25: "a quarter", 0.5: "half", 2: "two"}
Case = bool | None  # borne out, contradicted, or None: these data cannot tell


@dataclass(frozen=True)
class Claim:
    """One claim of the reference study, whether these results bear it out, and by which rule that was decided."""

    number: int
    statement: str
    verdict: str  # "holds" | "does not hold" | "not enough data"
    figures: str
    rule: str


def all_of(cases: Sequence[Case]) -> Case:
    """False where any is, True where all are, None otherwise."""
    if False in cases:
        return False
    return True if cases and None not in cases else None


def verdict(cases: Sequence[Case]) -> str:
    """One contradiction refutes a claim; otherwise it holds where at least one case bears it out."""
    if False in cases:
        return "does not hold"
    return "holds" if True in cases else "not enough data"


def tally(cases: Sequence[Case], what: str) -> str:
    """How many cases bear the claim out, contradict it, or cannot tell."""
    if not cases:
        return f"there are no {what}"
    count = {case: sum(one is case for one in cases) for case in (True, False, None)}
    text = f"{count[True]} of {len(cases)} {what} bear it out"
    text += f", {count[False]} contradict it" if count[False] else ""
    return text + (f", {count[None]} cannot tell" if count[None] else "")


def in_words(number: float) -> str:
    """A threshold as a rule's sentence has it: in words where it has one."""
    return WORDS.get(number, f"{number:g}")


def number(value: float, digits: str, unknown: str) -> str:
    """The value in this format, or the word for an unknown one."""
    return unknown if pd.isna(value) else f"{value:{digits}}"


def span(values: Sequence[float], digits: str = ".2f") -> str:
    """The least and the greatest value, or the only one."""
    low, high = f"{min(values):{digits}}", f"{max(values):{digits}}"
    return low if low == high else f"{low} to {high}"


def finished(studies: pd.DataFrame) -> pd.DataFrame:
    """The studies that are not running any more and have a K*."""
    return studies[(studies["state"] == "finished") & studies["steps_to_result"].notna()]


def sparse_and_dense(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Each row at the sparsity SPARSE beside the dense one with the same keys, whose columns end in _dense.

    The dense one may name any pruning criterion.
    """
    dense = rows[rows["sparsity"] == 0].drop_duplicates(list(keys))
    return rows[np.isclose(rows["sparsity"], SPARSE)].merge(dense, on=list(keys), suffixes=("", "_dense"))


def larger(row: "pd.Series[float]", other: str) -> Case:
    """Whether the critical batch size exceeds that of the columns ending in `other`, or at least equals it.

    Smaller counts only where the two intervals do not meet; a curve that does not level off has at least its lower end.
    """
    own, others = row["critical_batch_size"], row[f"critical_batch_size{other}"]
    own = row["critical_low"] if pd.isna(own) else own
    if own >= others:
        return True
    return False if row["critical_high"] < row[f"critical_low{other}"] else None
