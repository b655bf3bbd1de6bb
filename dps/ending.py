"""The end of a command's process."""

import atexit
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn


def ended(command: Callable[[], object]) -> NoReturn:
    """Run a command, and end the process with its exit code once everything that waits for the end is done.

    Python would free all modules and objects first, one by one, which after `import torch` takes seconds.
    """
    code = 1

    def end() -> None:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed before the start
            with suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(code)

    atexit.register(end)  # as the first, it runs as the last
    try:
        command()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        raise
    finally:
        logging.disable(logging.INFO)  # what libraries count, and tell at their end
    code = 0
    sys.exit()
