"""What a judged claim is, and what the rules have in common.

A case is one curve or one workload. It bears a claim out or contradicts it where an interval, or a test, excludes the
opposite, and otherwise it cannot tell.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dps.analysis.networks import networks

SPARSE = 0.9  # the reference study's claims about sparse networks are about this sparsity
AT_SPARSE = f"{SPARSE:.0%}"
TAIL = 0.025  # one-sided level of the tests of one case
WRONG = 0.05  # most that a verdict may be wrong by chance
SHARE = 0.5  # of the cases, more than which have to bear a claim out
WORDS = {0.1: "one in ten", 0.25: "a quarter", 0.5: "half", 2: "two", 4: "four"}
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


def verdict(cases: Sequence[Case], chance: float = TAIL) -> str:
    """More cases that contradict than by `chance` refute; else surely more than the share SHARE must bear it out.

    `chance` is the rate at which a case contradicts a true claim. At the border of "holds" the share is true and seen
    to be, and of the other cases TAIL seem so by chance.
    """
    from scipy.stats import binom

    count, against = len(cases), list(cases).count(False)
    if against and binom.sf(against - 1, count, chance) <= WRONG + 1e-12:
        return "does not hold"
    at_border = math.floor(SHARE * count)
    sure = count > 0 and binom.sf(list(cases).count(True) - at_border - 1, count - at_border, TAIL) <= WRONG
    return "holds" if sure and against <= WRONG * count else "not enough data"


def combined(cases: str, chance: float = TAIL) -> str:
    """The sentence of a rule that says how `verdict` combines the cases."""
    return (
        f"The claim does not hold where more {cases} contradict it than the {chance:.1%} that chance explains "
        f"(binomial p at most {WRONG:g}). Otherwise it holds where surely more than {in_words(SHARE)} of them bear it "
        f"out (at most {TAIL:.1%} of the others by chance, binomial p at most {WRONG:g}) and at most {WRONG:.0%} "
        "contradict it."
    )


def within(low: float, high: float, least: float, most: float) -> Case:
    """Whether an interval lies inside a range (True) or outside (False); nan at an end: open there."""
    low, high = (-np.inf if np.isnan(low) else low), (np.inf if np.isnan(high) else high)
    if low >= least and high <= most:
        return True
    return False if high < least or low > most else None


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


def with_interval(value: float, low: float, high: float, digits: str = ".2f") -> str:
    """The value and its interval, "at least" or "at most" where one end is open, "unknown" where nothing is known."""
    low, (value, high) = low or np.nan, (np.nan if one == np.inf else one for one in (value, high))
    if pd.isna(low) and pd.isna(high):
        return "unknown" if pd.isna(value) else f"{value:{digits}} (interval unknown)"
    shown = "" if pd.isna(value) else f"{value:{digits}} "
    if pd.isna(high):
        return f"{shown}(at least {low:{digits}})"
    if pd.isna(low):
        return f"{shown}(at most {high:{digits}})"
    return f"{shown}({low:{digits}} to {high:{digits}})"


def named(workload: str, goal_error: float) -> str:
    """A workload and its goal, as the numbers of a claim have them."""
    return f"{workload}, goal {goal_error:g}"


def span(values: Sequence[float], digits: str = ".2f") -> str:
    """The least and the greatest value, or the only one."""
    low, high = f"{min(values):{digits}}", f"{max(values):{digits}}"
    return low if low == high else f"{low} to {high}"


def finished(studies: pd.DataFrame) -> pd.DataFrame:
    """The studies that are finished and have a K*."""
    return studies[(studies["state"] == "finished") & studies["steps_to_result"].notna()]


def of_networks(rows: pd.DataFrame, keys: Sequence[str], most: str) -> pd.DataFrame:
    """One row for each `network`, a new column, with the same keys, in order.

    A dense network may be recorded under several pruning criteria, and has the row with the largest value of `most`.
    """
    largest_first = rows.assign(network=networks(rows)).sort_values(most, ascending=False, kind="stable")
    return largest_first.drop_duplicates([*keys, "network"]).sort_index()


def sparse_and_dense(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Each row at the sparsity SPARSE beside the dense one with the same keys, whose columns end in _dense.

    The dense one may name any pruning criterion, and names the same where there is such a one.
    """
    sparse, dense = rows[np.isclose(rows["sparsity"], SPARSE)], rows[rows["sparsity"] == 0]
    pairs = sparse.merge(dense, on=list(keys), suffixes=("", "_dense"))
    others_last = (pairs["pruning"] != pairs["pruning_dense"]).to_numpy().argsort(kind="stable")
    return pairs.iloc[others_last].drop_duplicates([*keys, "pruning"]).sort_index()
