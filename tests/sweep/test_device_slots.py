"""How jobs on one machine share its GPUs and cores, and what SLURM says of jobs elsewhere."""

from queue import Queue
from threading import Event

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from omegaconf import OmegaConf

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.jobs.device_slots import DeviceSlots, make_device_slots, runs_in_the_sweep
from mtl_sharing.sweep.jobs.launcher import JobOutcome, JobPool
from mtl_sharing.utils.device import choose_device
from support import QUICK

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"


def config(launcher, device="auto", threads=None, n_jobs=3):
    return OmegaConf.create({
        "trainer": {"device": device, "threads": threads},
        "hydra": {"launcher": {"_target_": launcher, "n_jobs": n_jobs}},
    })  # fmt: skip


@pytest.mark.parametrize(("launcher", "device", "threads", "jobs", "machine", "expected"), [
    (JOBLIB, "auto", None, 3, (0, 7), DeviceSlots(0, 2)),
    (JOBLIB, "auto", None, 8, (0, 7), DeviceSlots(0, 1)),
    (JOBLIB, "auto", None, 1, (0, 7), DeviceSlots(0, None)),
    (JOBLIB, "auto", 5, 3, (0, 7), DeviceSlots(0, None)),
    (JOBLIB, "auto", None, 2, (2, 7), DeviceSlots(2, 3)),
    (JOBLIB, "cuda", None, 2, (2, 7), DeviceSlots(2, 3)),
    (JOBLIB, "cpu", None, 2, (2, 7), DeviceSlots(0, 3)),
    (JOBLIB, "cuda:1", None, 2, (2, 7), DeviceSlots(0, 3)),
    (SLURM, "auto", None, 2, (2, 7), DeviceSlots()),
    (BASIC, "auto", None, 1, (2, 7), DeviceSlots()),
])  # fmt: skip
def test_a_machine_is_shared_out(launcher, device, threads, jobs, machine, expected):
    assert make_device_slots(config(launcher, device, threads), jobs, lambda: machine) == expected


@pytest.mark.parametrize(("launcher", "n_jobs", "inside"), [
    (BASIC, 1, True), (JOBLIB, 1, True), (JOBLIB, 2, False), (SLURM, 1, False),
])  # fmt: skip
def test_where_jobs_run(launcher, n_jobs, inside):
    assert runs_in_the_sweep(config(launcher, n_jobs=n_jobs).hydra.launcher) == inside


class _Launcher:
    """Starts jobs that run until the test ends them."""

    def __init__(self):
        self.started: Queue[list[str]] = Queue()
        self.ends = [Event() for _ in range(3)]

    def launch(self, job_overrides, initial_job_idx):
        self.started.put(job_overrides[0])
        self.ends[initial_job_idx].wait(60)
        raise RuntimeError("no result")


def test_each_job_at_once_has_a_gpu_of_its_own():
    launcher = _Launcher()
    jobs = JobPool(launcher, 2, False, DeviceSlots(gpus=2, threads=3))

    def start(number):
        job_id = jobs.start(number, [f"split={number}"])
        return job_id, launcher.started.get(timeout=60)

    (first, overrides), (second, others) = start(0), start(1)
    assert overrides == ["split=0", "trainer.device=cuda:0", "trainer.threads=3"]
    assert others == ["split=1", "trainer.device=cuda:1", "trainer.threads=3"]
    launcher.ends[0].set()
    jobs.wait(60)
    assert jobs.outcome(first) == JobOutcome("RuntimeError: no result", lost=True)
    assert jobs.outcome(second) is None
    _, overrides = start(2)
    assert overrides == ["split=2", "trainer.device=cuda:0", "trainer.threads=3"]
    for end in launcher.ends:
        end.set()


def test_hydra_keeps_a_jobs_error():
    why = "Hydra's JobReturn has no _return_value any more, which launcher.py reads"
    assert hasattr(JobReturn(), "_return_value"), why


@pytest.mark.parametrize(("name", "gpus", "found"), [
    ("cuda:0", 0, "no GPU"), ("cuda", 0, "no GPU"), ("cuda:2", 2, "2 GPUs"),
    ("cuda:x", 2, "cuda:x"), ("gpu", 2, "gpu"), ("cuda:", 2, "cuda:"),
])  # fmt: skip
def test_a_device_that_is_not_there(monkeypatch, name, gpus, found):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    with pytest.raises(UserError, match=found):
        choose_device(name)


def test_one_of_several_gpus(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert str(choose_device("cuda:1")) == "cuda:1"
    assert str(choose_device("auto")) == "cuda"


@pytest.mark.parametrize(("cluster", "launcher", "extra"), [
    ("local", "joblib", "parallel"), ("slurm", "submitit_slurm", "slurm"),
])  # fmt: skip
def test_a_launcher_that_is_not_installed(mtl_train, monkeypatch, cluster, launcher, extra):
    mtl_train("--help")  # has Hydra find its plugins
    options = ConfigStore.instance().repo["hydra"]["launcher"]
    monkeypatch.delitem(options, f"{launcher}.yaml")
    done = mtl_train("-m", "+sweep=split_points", f"+cluster={cluster}", *QUICK)
    assert done.code == 2
    assert f"pip install 'mtl-sharing[{extra}]'" in done.err and launcher in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(("words", "found"), [
    (["hydra.sweeper.n_jobs=2"], "basic"), (["hydra.sweeper.n_jobs=-1"], "-1"),
    (["+cluster=slurm", "hydra.sweeper.n_jobs=-1"], "-1"),
    (["+cluster=local", "hydra.sweeper.n_jobs=0"], "0"),
])  # fmt: skip
def test_a_number_of_jobs_that_nobody_can_run(mtl_train, words, found):
    done = mtl_train("-m", "+sweep=split_points", *QUICK, "score.objective=performance", *words)
    assert done.code == 2
    assert "hydra.sweeper.n_jobs" in done.err and found in done.err
    assert not list(done.cwd.rglob("result.json"))
