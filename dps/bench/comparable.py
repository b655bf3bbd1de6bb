"""What dps-bench can compare: studies whose trials the plain way trains just as ours does."""

from omegaconf import DictConfig, OmegaConf

from dps.bench.study import metaparameters
from dps.bench.timing import with_values
from dps.engine.study import Study
from dps.protocol.values import require

GROUPS = {  # what the plain way builds, by group: its option, what it is, and the choices of the group that have it
    "optimizer": ("optimizer._target_", "dps.stack.sgd.SGD", ("sgd", "momentum", "nesterov")),
    "lr_schedule": ("lr_schedule._target_", "dps.stack.schedules.constant", ("constant",)),
    "pruning": ("pruning.criterion._target_", "dps.pruning.snip", ("snip",)),
}
METAPARAMETERS = ("lr", "momentum")
WHY = "dps-bench trains nothing else the plain way"


def refuse_incomparable(cfg: DictConfig) -> None:
    """ValueError that names the first option by which the two ways would train, or judge, differently."""
    for group, (option, target, choices) in GROUPS.items():
        value, name = OmegaConf.select(cfg, option), cfg.names[group]
        named = " or ".join(", ".join(choices).rsplit(", ", 1))
        require(value == target or name in choices, group, name, f"{named}: {WHY}")
        require(value == target, option, value, f"{target}: {WHY}")
    for option, only in {"callbacks.goal._target_": "callbacks.Goal", "trainer.devices": 1}.items():
        require((value := OmegaConf.select(cfg, option)) == only, option, value, f"{only}: {WHY}")
    searched = Study.parse(with_values(cfg, metaparameters(cfg, 1)))
    for one in searched.metaparameters:
        value = OmegaConf.select(searched.cfg, one.option)
        require(one.name in METAPARAMETERS, one.option, value, f"null: {WHY}")
