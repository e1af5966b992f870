"""What trackers are told of a run: its settings, its tags, and the figures that it ends with."""

from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.outcome import Result, describe_regime
from mtl_sharing.run.tracker import TrackedRun
from mtl_sharing.run.trackers import flattened

_FINAL = ("score", "kept", "performance", "performance_raw_r", "tasks", "params", "memory",
          "time", "multipliers")  # fmt: skip


def tracked_run(blueprint: Blueprint, folder: Path) -> TrackedRun:
    """The run in ``folder``, as trackers know it."""
    tags = {
        "plan": str(blueprint.plan),
        "regime": describe_regime(blueprint),
        "seed": str(blueprint.config.seed),
    }
    sweep = _sweep_of(folder)
    tags |= {} if sweep is None else {"sweep": sweep}
    return TrackedRun(folder, flattened(asdict(blueprint.config), "."), tags)


def final_figures(result: Result) -> Result:
    """The figures of a finished run's result that trackers take."""
    return {name: result[name] for name in _FINAL if result[name] is not None}


def _sweep_of(folder: Path) -> str | None:
    """Name of the sweep whose trial works in ``folder``; None where it is a run by itself."""
    path = folder / ".hydra" / "hydra.yaml"
    if not path.is_file():
        return None
    values = OmegaConf.load(path)
    if OmegaConf.select(values, "hydra.mode") != "MULTIRUN":
        return None
    return Path(OmegaConf.select(values, "hydra.sweep.dir")).name
