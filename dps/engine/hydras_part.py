"""Hydra's own part of a configuration, which it acts on before it hands the rest to dps."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig

from dps.engine import targets
from dps.engine.check import plain, refuse_stand_in

HOLDS = {
    "hydra.callbacks": ("hydra.experimental.callbacks",),
    "hydra.launcher": ("hydra_plugins", "hydra._internal.core_plugins"),
    "hydra.sweeper": ("hydra_plugins", "hydra._internal.core_plugins", "optuna"),
}
PLUGINS = ("hydra.launcher._target_", "hydra.sweeper._target_")  # which Hydra itself takes from its plugins alone
LOGGING = ("hydra_logging", "job_logging")
LOGGERS = ("logging", "colorlog")  # what logging may be built of
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
# Of environment variables that would have other code run, here or in a rank; DPS_STUDY is the sweeper's.
CODE = ("DPS_", "LD_", "PATH", "PL_TRAINER_", "PYTHON")
OURS = ("DPS_STUDY",)


@contextmanager
def guarded() -> Iterator[None]:
    """Within it, what Hydra composes is looked at before Hydra calls or sets anything that stands in it."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    refuse_stand_in("conf")  # which Hydra imports by its name
    compose = ConfigLoaderImpl.load_configuration

    def composed(loader: ConfigLoaderImpl, *given: Any, **options: Any) -> DictConfig:
        cfg = compose(loader, *given, **options)
        refuse(cfg.hydra)
        return cfg

    ConfigLoaderImpl.load_configuration = composed  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        ConfigLoaderImpl.load_configuration = compose  # type: ignore[method-assign]


def refuse(hydra: DictConfig) -> None:
    """ValueError that names what Hydra's part may not call, or set in the environment."""
    targets.allow_own(hydra.runtime)
    given = plain(hydra)
    parts = {f"hydra.{name}": part for name, part in given.items()}
    targets.refuse_foreign(parts, HOLDS)
    for group, part in parts.items():
        for option, target in targets.named(part, group):
            if option not in PLUGINS:
                targets.load(option, target, HOLDS, depth=2)
    for name in LOGGING:
        _refuse_in_logging(given[name], f"hydra.{name}")
    for name in given["job"]["env_set"]:
        if str(name).upper().startswith(CODE) and name not in OURS:
            raise ValueError(f"hydra.job.env_set.{name} is not allowed: set the variable where dps is typed")


def _refuse_in_logging(node: Any, option: str) -> None:
    """ValueError where a configuration of logging would call or import something else than loggers."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in ("()", "class"):
                if not targets.is_in(str(value), LOGGERS):
                    right = ", ".join(LOGGERS)
                    raise ValueError(f"{option}.{name}={value} is not allowed: it takes what lies in {right}")
                targets.load(f"{option}.{name}", str(value), {option: LOGGERS}, depth=option.count(".") + 1)
            _refuse_in_logging(value, f"{option}.{name}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            _refuse_in_logging(value, f"{option}[{number}]")
    elif isinstance(node, str) and node.startswith(("ext://", "cfg://")) and node not in STREAMS:
        raise ValueError(f"{option}={node} is not allowed: it takes {' or '.join(STREAMS)}")
