"""The states of SLURM jobs, on clusters with accounting (sacct) and without."""

import logging
import subprocess
from contextlib import suppress

from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob, read_job_id

log = logging.getLogger(__name__)

_POLL_S = 30
# SLURM forgets an ended job after some minutes, so an unknown one has ended.
_FORGOTTEN = "COMPLETED"


class QueueWatcher(SlurmInfoWatcher):
    """Queries ``squeue`` where ``sacct`` does not respond.

    submitit queries ``sacct`` alone. Without accounting it would wait for ever for a job that was
    killed or cancelled.
    """

    accounting: bool | None = None

    def update(self) -> None:
        """Queries SLURM; submitit calls this at intervals."""
        if self.accounting is None:
            self.accounting, command = False, ["sacct", "--noheader", "--jobs=1"]
            with suppress(OSError):
                done = subprocess.run(command, capture_output=True, check=False)
                self.accounting = done.returncode == 0
            if not self.accounting:
                log.info("SLURM keeps no accounts here; its queue is asked instead")
        super().update()

    def _make_command(self) -> list[str] | None:
        command = super()._make_command()
        if command is None or self.accounting:
            return command
        # All jobs of this user: a query for one that SLURM has forgotten is an error.
        return ["squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%T|%N"]

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        """Parses the command's output into states, by job."""
        if self.accounting:
            return super().read_info(string)
        text = string if isinstance(string, str) else string.decode()
        states = {}
        for line in text.splitlines():
            job, state, nodes = line.split("|")
            states["_".join(read_job_id(job)[0])] = {"State": state, "NodeList": nodes}
        for job in self._registered - states.keys():
            states[job] = {"State": _FORGOTTEN}
        return states


def watch_queue() -> None:
    """Makes submitit watch its jobs by a :class:`QueueWatcher`."""
    logging.getLogger("submitit").setLevel(logging.ERROR)  # its log repeats the jobs' own
    SlurmJob.watcher = QueueWatcher(delay_s=_POLL_S)
