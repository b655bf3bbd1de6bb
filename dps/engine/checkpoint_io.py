"""How Lightning writes and reads the checkpoint of a job."""

import io
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from pytorch_lightning.plugins import CheckpointIO

from dps.engine import memory
from dps.storage import checkpoints, ownership, records

log = logging.getLogger(__name__)


class StudyCheckpoints(CheckpointIO):
    """Checkpoints as dps.storage.checkpoints keeps them, of what loads without running code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write it in place of the one that is there; OSError, with that one as it was, if it fails."""
        payload = io.BytesIO()
        torch.save(checkpoint, payload)
        checkpoints.write(Path(path), payload.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """The newest one that is whole; ValueError where there is none."""
        with checkpoints.newest_whole(Path(path)) as (found, file):
            if found != Path(path):
                log.warning("%s is damaged or lost: training goes on from the one before, %s", path, found.name)
                Path(path).unlink(missing_ok=True)  # else the next one written would put it in the other's place
            return _loaded(Path(path), file.read(), map_location)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove it, and the one before."""
        checkpoints.remove(Path(path))


def remove_finished(folder: Path) -> None:
    """Remove what stopped jobs of a study have left whose trials are all recorded, as other jobs have trained them."""
    for job in {path.name.partition(".")[0] for path in folder.glob(checkpoints.OF_JOBS)}:
        with suppress(Timeout), ownership.job_lock(folder, job).acquire(blocking=False):  # else it runs
            path = folder / f"{job}.ckpt"
            try:
                with checkpoints.newest_whole(path) as (_, file):
                    trained = {trial["trial"] for trial in _loaded(path, file.read(), "cpu")["stack"]["trials"]}
            except ValueError as error:
                log.warning("%s", error)
            else:
                if trained <= set(records.read(folder)["trial"]):
                    checkpoints.remove(path)


def _loaded(path: Path, payload: bytes, map_location: Any) -> dict[str, Any]:
    """ValueError where a file that is whole is no checkpoint, such as one that would run code."""
    try:
        loaded: Any = torch.load(io.BytesIO(payload), map_location, weights_only=True)
    except Exception as error:  # of half a dozen kinds, which torch and pickle leave open
        if memory.ran_out(error):
            raise
        raise checkpoints.damaged(path) from error
    if not isinstance(loaded, dict) or not {"pytorch-lightning_version", "stack"} <= loaded.keys():
        raise checkpoints.damaged(path)
    return loaded
