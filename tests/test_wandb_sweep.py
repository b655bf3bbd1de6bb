"""The report that the run of a sweep at Weights & Biases is made of, in a process of its own."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

REPORTING = """
import sys
from pathlib import Path
from dps import signals
from dps.engine import wandb_sweep

with signals.stopping("dps"):
    wandb_sweep._report([Path(sys.argv[1])], Path(sys.argv[1], "report"))
"""


@pytest.mark.fault("a report that outlives its command")
def test_it_ends_with_a_command_that_is_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "trials.csv")  # for which it waits
    with subprocess.Popen([sys.executable, "-c", REPORTING, tmp_path]) as command:
        fifo = os.open(tmp_path / "trials.csv", os.O_WRONLY)  # once the report reads
        command.send_signal(signal.SIGKILL)
    reader = select.poll()
    reader.register(fifo, 0)
    assert reader.poll(20_000), "the report still reads"
    os.close(fifo)
