"""No line of progress for each of the many runs of a confirmation, which has one line over all of them."""

from pytorch_lightning.callbacks import ProgressBar


class Quiet(ProgressBar):
    """Stands in for a progress bar, in whose absence Lightning would draw its own."""

    def disable(self) -> None:
        """Shows nothing in any case."""
