"""What the theory says of the constants of K* = c1 / B + c2.

c1 = Delta L beta / (mu^2 eps^2) and c2 = Delta / (lr mu eps) (paper, Proposition 3.1 and Eq. 6).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

LEAST_BATCH_SIZES = 3  # at which K* has to be known for c1 and c2


def delta(train_losses: ArrayLike) -> float:
    """Delta = 2 (f(w_1) - f_inf), with the lowest training loss of the run for f_inf (Proposition 3.1).

    `train_losses` are means over the training set in the order of the steps, the first before any step.
    """
    losses = np.asarray(train_losses, float)
    return float(2 * (losses[0] - np.nanmin(losses)))
