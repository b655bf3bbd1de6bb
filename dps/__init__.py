"""What a notebook needs of dps, each part imported when it is first asked for.

    dps.load("outputs/digits_simple_cnn_momentum")  the trials, studies and measurements of a folder, as DataFrames
    dps.run(["batch_size=64"], trials=16)           one study, as the command `dps` runs it
    dps.fit_law(results.studies)                    K* = c1 / B + c2, fitted to the studies of one network
    dps.masks(module, inputs, labels, 0.9)          what a pruning criterion keeps of any torch module

docs/notebook.ipynb shows them at work.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["__version__", "fit_law", "load", "masks", "run"]
_HOMES = {
    "fit_law": "dps.analysis.fits.law",
    "load": "dps.analysis.results",
    "masks": "dps.library.masks",
    "run": "dps.library.run",
}

if TYPE_CHECKING:
    from dps.analysis.fits.law import fit_law
    from dps.analysis.results import load
    from dps.library.masks import masks
    from dps.library.run import run

    __version__: str
else:  # a type checker is to know of every other name that it is none

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            found = version("dps")
        elif name in _HOMES:
            found = getattr(import_module(_HOMES[name]), name)
        else:
            raise AttributeError(f"module 'dps' has no attribute {name!r}")
        return globals().setdefault(name, found)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
