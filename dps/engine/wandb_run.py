"""Runs of Weights & Biases: all online, or all offline where its server or a key for it is missing.

WANDB_MODE says which is wanted. What cannot be online is set to offline by it, for the rest of the process and its
children, so that a server that does not answer is waited for once.
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from dps.errors import one_line
from dps.storage.run_ids import LoggedRun

if TYPE_CHECKING:
    from wandb import Run

log = logging.getLogger(__name__)
MODE, SILENT = "WANDB_MODE", "WANDB_SILENT"
LONGEST_TAG = 64  # that is taken
SECONDS_TO_ANSWER = 4
AT_ONCE = 128  # runs that are opened or ended at the same time: the server's answer takes longer than the work
# What wandb does beside: it reads the terminal, the source code, the machine and the list of installed packages.
QUIET = {
    **{"silent": True, "console": "off", "disable_git": True, "save_code": False},
    **{f"x_{name}": True for name in ("disable_stats", "disable_meta", "disable_machine_info")},
    "x_save_requirements": False,
}


def is_disabled() -> bool:
    """Whether nothing is to be logged."""
    return os.environ.get(MODE) == "disabled"


def opened(settings: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]]) -> list[Run]:
    """A run for each of the arguments of `wandb.init`, with these settings; an earlier run of the same id goes on."""
    import wandb
    from wandb.errors import Error

    _choose_mode()
    try:
        return _opened(settings, wanted)
    except Error as error:
        if os.environ[MODE] != "online":
            raise
        wandb.teardown()  # which else keeps the id of the run that it could not open
        _go_offline(one_line(error))
        return _opened(settings, wanted)


def logged(run: Run) -> LoggedRun:
    """The run as wandb.csv has it."""
    return LoggedRun(run.id, "" if run.offline else run.url or "")


def ended(runs: Sequence[Run], exit_code: int) -> None:
    """End runs, and wait until they have ended, no longer than `finish_timeout` has it for one of them."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda run: run.finish(exit_code=exit_code), runs))


def _opened(settings: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]]) -> list[Run]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        opening = [threads.submit(_open, settings, arguments) for arguments in wanted]
    errors = [error for one in opening if (error := one.exception())]
    if errors:
        ended([one.result() for one in opening if not one.exception()], exit_code=1)
        raise errors[0]
    return [one.result() for one in opening]


def _open(settings: Mapping[str, Any], arguments: Mapping[str, Any]) -> Run:
    import wandb

    run = wandb.init(
        **arguments,
        mode=os.environ[MODE],  # type: ignore[arg-type]  # it says which there are
        reinit="create_new",
        resume="allow",
        settings=wandb.Settings(**{**QUIET, **settings}),
    )
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run


def _choose_mode() -> None:
    os.environ.setdefault(SILENT, "true")
    if os.environ.get(MODE, "online") != "online":
        return
    import wandb
    from wandb.errors import Error

    settings = wandb.setup().settings
    os.environ[MODE] = settings.mode
    if settings.mode != "online":  # by `wandb offline`
        return
    if not _answers(settings.base_url):
        _go_offline(f"{settings.base_url} does not answer")
    else:
        try:
            if not wandb.login(prompt=False, verify=True):
                _go_offline("no API key is configured (`wandb login`)")
        except Error as error:
            _go_offline(one_line(error))


def _go_offline(reason: str) -> None:
    os.environ[MODE] = "offline"
    log.warning("Weights & Biases logs offline, to be sent by `wandb sync`: %s", reason)


def _answers(address: str) -> bool:
    """Whether there is a server, by the way of a proxy where the environment names one."""
    found = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(address, timeout=SECONDS_TO_ANSWER).close()
        except urllib.error.HTTPError:
            found.set()
        except OSError as error:
            if isinstance(getattr(error, "reason", None), ssl.SSLError):  # which settings may allow
                found.set()
        else:
            found.set()

    threading.Thread(target=ask, daemon=True).start()  # looking up a name has no time limit of its own
    return found.wait(SECONDS_TO_ANSWER)
