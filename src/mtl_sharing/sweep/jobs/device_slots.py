"""Shares this machine among jobs: how many at once, and the device and threads of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from mtl_sharing.config.credentials import set_hydra_key
from mtl_sharing.errors import UserError

_JOBS = "hydra.sweeper.n_jobs"
# The class names of the launchers that start processes on this machine.
_LOCAL = ("JoblibLauncher", "LocalLauncher")


@dataclass(frozen=True)
class DeviceSlots:
    """This machine's GPUs and cores, divided among jobs that run at once.

    Each job gets one of the GPUs, and so many CPU threads; None leaves them to the job.
    """

    gpus: int = 0
    threads: int | None = None

    def overrides(self, slot: int) -> list[str]:
        """The overrides of the job in a slot, from 0."""
        device = [f"trainer.device=cuda:{slot % self.gpus}"] if self.gpus else []
        return device + ([] if self.threads is None else [f"trainer.threads={self.threads}"])


def launcher_name(launcher: Any) -> str:
    """The class name of a launcher, from its config or from itself."""
    target = launcher.get("_target_", "") if isinstance(launcher, DictConfig) else ""
    return str(target).rpartition(".")[2] or type(launcher).__name__


def runs_in_the_sweep(launcher: DictConfig) -> bool:
    """Whether jobs of a launcher's config run in the process and thread of the sweep."""
    name = launcher_name(launcher)
    # joblib starts no process for a single job.
    return name == "BasicLauncher" or (name == "JoblibLauncher" and launcher.n_jobs == 1)


def runs_in_worker(launcher: Any) -> bool:
    """Whether jobs of a launcher, or of its config, run in joblib's worker processes."""
    return launcher_name(launcher) == "JoblibLauncher"


def resolve_n_jobs(config: DictConfig) -> None:
    """Replaces ``hydra.sweeper.n_jobs=-1`` by the number of jobs that fit on this machine.

    Raises:
        UserError: the launcher runs jobs elsewhere, or one after the other.
    """
    n_jobs = config.hydra.sweeper.n_jobs
    if n_jobs == -1 and launcher_name(config.hydra.launcher) in _LOCAL:
        gpus, cores = this_machine()
        set_hydra_key(config, _JOBS, gpus if _uses_gpus(config, gpus) else cores)
    elif n_jobs < 1:
        raise UserError(_JOBS, n_jobs, "1 or more; -1 with +cluster=local: as many as fit")


def this_machine() -> tuple[int, int]:
    """The number of its GPUs, and of the cores that this process may use."""
    import torch

    from mtl_sharing.utils.device import usable_cores

    return torch.cuda.device_count(), usable_cores()


def make_device_slots(
    config: DictConfig, jobs: int, machine: Callable[[], tuple[int, int]] = this_machine
) -> DeviceSlots:
    """The slots of ``jobs`` at once, for what the config leaves open."""
    if launcher_name(config.hydra.launcher) not in _LOCAL:
        return DeviceSlots()
    gpus, cores = machine()
    threads = max(1, cores // jobs) if config.trainer.threads is None and jobs > 1 else None
    return DeviceSlots(gpus if _uses_gpus(config, gpus) else 0, threads)


def _uses_gpus(config: DictConfig, gpus: int) -> bool:
    return gpus > 0 and config.trainer.device in ("auto", "cuda")
