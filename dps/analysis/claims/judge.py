"""The reference study's claims, each judged by a stated rule."""

from dps.analysis.claims import causes, curves
from dps.analysis.claims.claim import Claim
from dps.analysis.results import Results

__all__ = ["Claim", "judge"]


def judge(results: Results) -> list[Claim]:
    """Claims 1 to 8 in order; running studies decide nothing."""
    return [
        curves.three_regions(results),
        curves.sparse_takes_longer(results),
        curves.larger_critical_batch(results),
        curves.momentum_helps(results),
        causes.sparse_is_less_smooth(results),
        causes.learning_rate_grows(results),
        causes.range_narrows(results),
        causes.theory_gives_the_ratio(results),
    ]
