"""What tells studies apart above the tables of dps-confirm and dps-reproduce."""

from pathlib import Path

from omegaconf import OmegaConf

from dps.report.headings import headings


def test_only_what_differs_is_told() -> None:
    cfg = OmegaConf.create({"workload": "w", "goal": {"error": 0.02}})
    whole = "w: steps to a validation error of 0.02"
    same = [(cfg, Path("a", f"batch_size={size},sparsity=0")) for size in (16, 64)]
    assert headings(same) == [whole, whole]
    folders = [
        "a/batch_size=16,sparsity=0",
        "a/batch_size=16,sparsity=0,pruning=snip,b=1",
        "c/batch_size=16,sparsity=0",
    ]
    assert headings([(cfg, Path(folder)) for folder in folders]) == [
        f"{whole}, in a",
        f"{whole}, pruning=snip, b=1, in a",
        f"{whole}, in c",
    ]
