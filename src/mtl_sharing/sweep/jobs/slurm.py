"""What SLURM's jobs do, on clusters that keep accounts (sacct) and on those that keep none."""

import logging
import subprocess
from contextlib import suppress

from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob, read_job_id

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 30
# SLURM remembers an ended job for some minutes; one that it does not know has ended.
_FORGOTTEN = "COMPLETED"


class QueueWatcher(SlurmInfoWatcher):
    """Asks ``squeue`` where ``sacct`` does not answer.

    submitit asks ``sacct`` alone. Without accounts it would wait for ever for a job that was
    killed or cancelled.
    """

    accounts: bool | None = None

    def update(self) -> None:
        """Submitit's call, every now and then."""
        if self.accounts is None:
            self.accounts = _answers(["sacct", "--noheader", "--jobs=1"])
            if not self.accounts:
                log.info("SLURM keeps no accounts here; its queue is asked instead")
        super().update()

    def _make_command(self) -> list[str] | None:
        command = super()._make_command()
        if command is None or self.accounts:
            return command
        # All of this user's: asked for one that it has forgotten, SLURM says nothing but an error.
        return ["squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%T|%N"]

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        """The states in what the command printed, by job."""
        if self.accounts:
            return super().read_info(string)
        text = string if isinstance(string, str) else string.decode()
        found = {}
        for line in text.splitlines():
            job, state, nodes = line.split("|")
            found["_".join(read_job_id(job)[0])] = {"State": state, "NodeList": nodes}
        for job in self._registered - found.keys():
            found[job] = {"State": _FORGOTTEN}
        return found


def _answers(command: list[str]) -> bool:
    with suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


def watch_queue() -> None:
    """Has submitit watch its jobs in this way."""
    # Its own lines stand in the jobs' logs.
    logging.getLogger("submitit").setLevel(logging.ERROR)
    SlurmJob.watcher = QueueWatcher(delay_s=_LOOK_EVERY_S)
