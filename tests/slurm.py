#!/usr/bin/env python
"""Stand-ins for Slurm's commands on one machine, by the name they are called by: an array's jobs run one after another.

A job with a checkpoint gets the signal that its turn ends, once. What happens is kept in the folder $STANDIN.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ARRAY = "7"  # its job's number
STATE = Path(os.environ["STANDIN"])


def sbatch(script: str) -> None:
    text = Path(script).read_text()
    (STATE / "script").write_text(text)
    found = re.search(r"--array=0-(\d+)", text)
    assert found
    for task in range(int(found[1]) + 1):
        (STATE / str(task)).write_text("PENDING")
    nowhere = subprocess.DEVNULL  # who called waits for the end of what it reads
    subprocess.Popen([sys.executable, Path(__file__).resolve(), "turns"], stdout=nowhere, stderr=nowhere)
    print(f"Submitted batch job {ARRAY}")


def turns() -> None:
    """Run every job, and again while it goes back into the queue."""
    for state in sorted(STATE.glob("[0-9]*"), key=lambda path: int(path.name)):
        own = {"SLURM_JOB_ID": f"10{state.name}", "SLURM_ARRAY_JOB_ID": ARRAY, "SLURM_ARRAY_TASK_ID": state.name}
        own |= {"SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_NNODES": "1"}
        own |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "dps"}
        while state.read_text() != "COMPLETED":
            state.write_text("RUNNING")
            with subprocess.Popen(["bash", STATE / "script"], env={**os.environ, **own}) as job:
                job.wait()
            state.write_text("COMPLETED" if state.read_text() == "RUNNING" else "PENDING")


def srun(*arguments: str) -> None:
    options, command = list(arguments[:5]), arguments[5:]
    assert [options[0], options[1], options[3]] == ["--unbuffered", "--output", "--error"]
    task = os.environ["SLURM_ARRAY_TASK_ID"]
    out, err = (Path(re.sub("%A", ARRAY, option).replace("%a", task).replace("%t", "0")) for option in options[2::2])
    with out.open("a") as stdout, err.open("a") as stderr:
        job = subprocess.Popen(command, stdout=stdout, stderr=stderr)
        while job.poll() is None:
            if not (STATE / "signalled").exists() and list(Path().rglob("*.ckpt")):
                (STATE / "signalled").touch()
                job.send_signal(signal.SIGUSR2)  # which submitit asks Slurm for
            time.sleep(0.05)


def scontrol(verb: str, job: str) -> None:
    assert verb == "requeue"
    (STATE / job.removeprefix(f"{ARRAY}_")).write_text("REQUEUED")


def sacct(*_: str) -> None:
    print("JobID|State|NodeList")
    for state in STATE.glob("[0-9]*"):
        print(f"{ARRAY}_{state.name}|{state.read_text()}|here")


if __name__ == "__main__":
    name = Path(sys.argv[0]).name
    commands = {command.__name__: command for command in (sbatch, srun, scontrol, sacct)}
    if name in commands:
        commands[name](*sys.argv[1:])
    else:
        turns()
