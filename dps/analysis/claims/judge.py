"""The reference study's claims, each judged by a stated rule."""

from dataclasses import replace

from dps.analysis.claims.claim import Claim
from dps.analysis.claims.critical_batch import larger_critical_batch
from dps.analysis.claims.learning_rate import learning_rate_grows
from dps.analysis.claims.learning_rate_range import range_narrows
from dps.analysis.claims.momentum import momentum_helps
from dps.analysis.claims.predicted_ratio import theory_gives_the_ratio
from dps.analysis.claims.smoothness import sparse_is_less_smooth
from dps.analysis.claims.steps_ratio import sparse_takes_longer
from dps.analysis.claims.three_regions import three_regions
from dps.analysis.networks import of_judged_criterion
from dps.analysis.results import Results

__all__ = ["Claim", "judge"]

OF_NETWORKS = ("trials", "studies", "theory", "smoothness")  # the frames that claims are judged by


def judge(results: Results) -> list[Claim]:
    """Claims 1 to 8 in order, of one pruning criterion a workload; unfinished studies decide nothing."""
    results = replace(results, **{name: of_judged_criterion(getattr(results, name)) for name in OF_NETWORKS})
    return [
        three_regions(results),
        sparse_takes_longer(results),
        larger_critical_batch(results),
        momentum_helps(results),
        sparse_is_less_smooth(results),
        learning_rate_grows(results),
        range_narrows(results),
        theory_gives_the_ratio(results),
    ]
