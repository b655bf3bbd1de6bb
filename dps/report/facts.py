"""What a report stands on, in a few words each: studies, trials and seconds, the day, the versions, the hardware."""

from collections.abc import Iterable
from pathlib import Path

from dps.analysis.results import Results
from dps.report import links
from dps.storage import records

VERSIONS = ("dps", "torch", "pytorch_lightning", "python")


def facts(results: Results) -> list[str]:
    """Those that are known; of what differs between studies, all values."""
    recorded = links.recorded(map(Path, results.studies["folder"]))
    known = results.environments.groupby("key")["value"].unique().to_dict()
    versions = [f"{key} {_all(known[key])}" for key in VERSIONS if key in known]
    seconds = records.seconds(results.trials)
    found = [
        f"{len(results.studies)} {'study' if len(results.studies) == 1 else 'studies'}",
        f"{results.studies['trials'].sum()} trials",
        f"{seconds:,.0f} s of training and goal checks" if seconds > 0 else "",
        f"files last changed {recorded}" if recorded else "",
        ", ".join(versions),
        _all(known.get("device", ())),
    ]
    return [fact for fact in found if fact]


def _all(values: Iterable[str]) -> str:
    return " and ".join(sorted(values))
