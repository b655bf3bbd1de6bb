"""Between which values the metaparameters of studies were searched."""

from collections.abc import Iterable, Mapping

from dps.protocol.metaparameters import Metaparameter
from dps.protocol.space import parse

Ranges = Mapping[str, tuple[float, float]]  # by the metaparameter's name


def ranges(spaces: Iterable[str], metaparameters: Iterable[Metaparameter]) -> Ranges:
    """From the least to the greatest value of each metaparameter that any of the spaces holds.

    A space is what study.csv has in its column of that name: options and their intervals, or "" where it is not known.
    """
    found: dict[str, tuple[float, float]] = {}
    names = {one.option: one.name for one in metaparameters}
    for space in set(spaces) - {""}:
        for option, interval in (part.split("=", 1) for part in space.split("; ")):
            name, dimension = names[option], parse(option, interval)
            low, high = found.get(name, (dimension.low, dimension.high))
            found[name] = min(low, dimension.low), max(high, dimension.high)
    return found
