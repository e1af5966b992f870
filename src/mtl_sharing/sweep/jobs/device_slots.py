"""Where jobs run: how many at once, and which device and threads a job on this machine gets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.jobs.credentials import settle

_JOBS = "hydra.sweeper.n_jobs"
# Hydra's launchers, by the end of their class's name.
_HERE = ("JoblibLauncher", "LocalLauncher")


@dataclass(frozen=True)
class DeviceSlots:
    """This machine's devices and cores, shared out among jobs that run at once.

    Attributes:
        gpus: how many; each job gets one of them.
        threads: of a CPU's products in each job; None leaves it to the job.
    """

    gpus: int = 0
    threads: int | None = None

    def words(self, slot: int) -> list[str]:
        """Overrides of the job in a slot, from 0."""
        device = [f"trainer.device=cuda:{slot % self.gpus}"] if self.gpus else []
        return device + ([] if self.threads is None else [f"trainer.threads={self.threads}"])


def launches_with(launcher: Any) -> str:
    """The name of the launcher's class, of its config or of itself."""
    target = launcher.get("_target_", "") if isinstance(launcher, DictConfig) else ""
    return str(target).rpartition(".")[2] or type(launcher).__name__


def runs_in_the_sweep(launcher: DictConfig) -> bool:
    """Whether jobs of a launcher's config run in the process and thread of the sweep."""
    name = launches_with(launcher)
    # joblib starts no process for a single job.
    return name == "BasicLauncher" or (name == "JoblibLauncher" and launcher.n_jobs == 1)


def settle_jobs(config: DictConfig) -> None:
    """Puts a number in the place of ``hydra.sweeper.n_jobs=-1``: as many jobs as fit here.

    Raises:
        UserError: of a launcher that runs them elsewhere, or one after the other.
    """
    wanted = config.hydra.sweeper.n_jobs
    if wanted == -1 and launches_with(config.hydra.launcher) in _HERE:
        gpus, cores = this_machine()
        settle(config, _JOBS, gpus if _takes_gpus(config, gpus) else cores)
    elif wanted < 1:
        raise UserError(_JOBS, wanted, "1 or more; -1 with +cluster=local: as many as fit")


def this_machine() -> tuple[int, int]:
    """Its GPUs that torch sees, and the cores that this process may use."""
    import torch

    from mtl_sharing.utils.device import usable_cores

    return torch.cuda.device_count(), usable_cores()


def make_device_slots(
    config: DictConfig, jobs: int, machine: Callable[[], tuple[int, int]] = this_machine
) -> DeviceSlots:
    """The places of ``jobs`` at once, as far as the config leaves them open."""
    if launches_with(config.hydra.launcher) not in _HERE:
        return DeviceSlots()
    gpus, cores = machine()
    threads = max(1, cores // jobs) if config.trainer.threads is None and jobs > 1 else None
    return DeviceSlots(gpus if _takes_gpus(config, gpus) else 0, threads)


def _takes_gpus(config: DictConfig, gpus: int) -> bool:
    return gpus > 0 and config.trainer.device in ("auto", "cuda")
