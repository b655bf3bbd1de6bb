"""The reference study's claims, each judged by a stated rule."""

from dps.report import claims_of_causes, claims_of_curves
from dps.report.claim import Claim
from dps.report.studies import Results

__all__ = ["Claim", "judge"]


def judge(results: Results) -> list[Claim]:
    """Claims 1 to 8 in order; running studies decide nothing."""
    return [
        claims_of_curves.three_regions(results),
        claims_of_curves.sparse_takes_longer(results),
        claims_of_curves.larger_critical_batch(results),
        claims_of_curves.momentum_helps(results),
        claims_of_causes.sparse_is_less_smooth(results),
        claims_of_causes.learning_rate_grows(results),
        claims_of_causes.range_narrows(results),
        claims_of_causes.theory_gives_the_ratio(results),
    ]
