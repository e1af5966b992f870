"""Measures how a training step's time and memory grow with batch size, length, tasks and layers.

A small encoder with random weights trains on random tokens, so that texts have an exact length.
Only the project is measured.
"""

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.clock import timed
from benchmarks.project import compose_config
from benchmarks.worker import resting_memory
from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.data.tokens.tokenizing import TokenRows
from mtl_sharing.job.autotune import autotune
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.phases import make_learner
from mtl_sharing.job.spec import RunSpec, resolve_spec, start_on_machine
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.utils.device import peak_memory, reset_peak_memory
from mtl_sharing.utils.files import replace_json

UNTIMED, TIMED, PASSES = 2, 3, 2
_BATCHES, _CLASSES, _FIRST_WORD = 8, 5, 5
_ENCODER = (
    "suite=bundled", "pairing=joined", "encoder.checkpoint=null", "encoder.hidden=256",
    "encoder.embedding=256", "encoder.intermediate=1024", "encoder.positions=512",
    "encoder.dropout=0.1", "encoder.attention_dropout=0.1", "head.pooling=pooler",
    "suite.max_length=512",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One measured setting.

    Attributes:
        panel: the varied setting: ``batch size``, ``length``, ``tasks`` or ``layers``.
        batch: examples of each task.
        length: tokens of each text.
        sharing: config group ``sharing``: ``shared`` (one trunk) or ``individual``.
    """

    panel: str
    batch: int = 16
    length: int = 32
    tasks: int = 3
    layers: int = 4
    sharing: str = "shared"

    @property
    def value(self) -> int:
        """The value of the varied setting."""
        fields = {"batch size": "batch"}
        return int(getattr(self, fields.get(self.panel, self.panel)))


@dataclass(frozen=True)
class Cost:
    """Cost of a training step at a point.

    Attributes:
        step_s: median seconds.
        tokens: real tokens in a step.
        peak_bytes: peak memory above that of the process before the network was built.
    """

    point: Point
    step_s: float
    examples: int
    tokens: int
    peak_bytes: int


POINTS = (
    *(Point("batch size", batch=n) for n in (8, 16, 32, 64)),
    *(Point("length", length=n) for n in (16, 32, 64, 128, 256)),
    *(
        Point("tasks", tasks=n, sharing=sharing)
        for n in (1, 3, 8, 16)
        for sharing in ("shared", "individual")
    ),
    *(Point("layers", layers=n) for n in (3, 6, 12)),
)


def run_scaling(
    folder: Path, log: Callable[[str], None], points: tuple[Point, ...] = POINTS
) -> None:
    """Measures all points, and writes ``scaling.json`` and ``scaling.png`` into a folder."""
    from benchmarks.scaling_plot import draw

    costs: list[Cost] = []
    # Two passes, so that a slow moment of the machine does not affect a point's best time.
    for number, point in enumerate(points * PASSES):
        costs.append(measure(point))
        log(f"scaling {number + 1} of {len(points) * PASSES}: {describe(costs[-1])}")
    costs = fastest(costs)
    replace_json(folder / "scaling.json", record(costs))
    draw(costs, folder / "scaling.png")
    for line in conclusions(costs):
        log(line)


def measure(point: Point) -> Cost:
    """Builds a learner for the point and times its steps."""
    run_spec = start_on_machine(resolve_spec(compose_config(_overrides(point))))
    inputs, device = _random_inputs(run_spec, point), run_spec.runtime.device
    run_spec = autotune(run_spec, inputs)
    gc.collect()
    reset_peak_memory(device)
    resting = resting_memory(device)
    learner = make_learner(run_spec, inputs, run_spec.architecture)
    total = UNTIMED + TIMED
    seconds = [timed(device, partial(learner.update, step, total)) for step in range(total)]
    examples = point.batch * point.tasks
    peak = peak_memory(device) - resting
    return Cost(point, median(seconds[UNTIMED:]), examples, examples * point.length, peak)


def fastest(costs: Iterable[Cost]) -> list[Cost]:
    """The cost with the least time for each point."""
    best: dict[Point, Cost] = {}
    for cost in costs:
        previous = best.setdefault(cost.point, cost)
        best[cost.point] = min(previous, cost, key=lambda one: one.step_s)
    return list(best.values())


def fitted_exponent(costs: Sequence[Cost]) -> float:
    """The exponent of step time in real tokens, from a least-squares line on log scales."""
    tokens = np.log([cost.tokens for cost in costs])
    seconds = np.log([cost.step_s for cost in costs])
    return float(np.polyfit(tokens, seconds, 1)[0])


def panels(costs: Sequence[Cost]) -> dict[str, dict[str, list[Cost]]]:
    """Costs by panel, then by sharing, in the order of the varied value."""
    by_panel: dict[str, dict[str, list[Cost]]] = {cost.point.panel: {} for cost in costs}
    for cost in sorted(costs, key=lambda one: one.point.value):
        by_panel[cost.point.panel].setdefault(cost.point.sharing, []).append(cost)
    return by_panel


def record(costs: Sequence[Cost]) -> dict[str, Any]:
    """The content of ``scaling.json``."""
    return {"schema": 1, "costs": [asdict(cost) for cost in costs], "found": conclusions(costs)}


def conclusions(costs: Sequence[Cost]) -> list[str]:
    """Sentences about the growth of step time."""
    by_panel, lines = panels(costs), []
    for panel in ("batch size", "length"):
        for line in by_panel.get(panel, {}).values():
            if len(line) > 1:
                power = fitted_exponent(line)
                lines.append(f"{panel}: step time grows with real tokens to the power {power:.2f}")
    lines += _sharing_lines(by_panel.get("tasks", {}))
    return lines


def _sharing_lines(lines: Mapping[str, Sequence[Cost]]) -> list[str]:
    models = {cost.point.tasks: cost for cost in lines.get("individual", ())}
    sentences = []
    for trunk in lines.get("shared", ()):
        apart = models.get(trunk.point.tasks)
        if apart is not None and trunk.point.tasks > 1:
            time, memory = trunk.step_s / apart.step_s, trunk.peak_bytes / apart.peak_bytes
            shares = f"{time:.2f} of the time and {memory:.2f} of the memory"
            sentences.append(
                f"tasks: {trunk.point.tasks} on a shared trunk take {shares} of models"
            )
    return sentences


def describe(cost: Cost) -> str:
    """A line about one measured point."""
    point = cost.point
    rate = (
        f"{cost.examples / cost.step_s:,.0f} examples/s, {cost.tokens / cost.step_s:,.0f} tokens/s"
    )
    return (
        f"{point.panel} {point.value}, {point.sharing}: {cost.step_s * 1e3:.0f} ms, "
        f"{rate}, {cost.peak_bytes / 1e6:.0f} MB"
    )


def _overrides(point: Point) -> list[str]:
    names = [f"t{number}" for number in range(point.tasks)]
    return [
        *_ENCODER,
        *(f"+task@task.{name}=bundled_sst" for name in names),
        f"suite.tasks=[{','.join(names)}]",
        f"encoder.layers={point.layers}",
        f"sharing={point.sharing}",
        f"trainer.batch_size={point.batch}",
    ]


def _random_inputs(run_spec: RunSpec, point: Point) -> RunInputs:
    data = {
        name: _random_task(point, run_spec.shape.vocabulary, seed)
        for seed, name in enumerate(run_spec.specs)
    }
    return RunInputs(data, data, random_tower(run_spec.shape, seed=0), {})


def _random_task(point: Point, vocabulary: int, seed: int) -> EncodedTask:
    random, count = np.random.default_rng(seed), _BATCHES * point.batch
    tokens = random.integers(_FIRST_WORD, vocabulary, count * point.length).astype(np.int32)
    offsets = np.arange(count + 1, dtype=np.int64) * point.length
    rows = TokenRows(tokens, np.zeros(len(tokens), np.uint8), offsets, 0)
    labels = random.integers(0, _CLASSES, count).astype(float)
    return EncodedTask(rows, None, labels, class_labels=True)
