"""Groups of runs that differ only in their seed: a regime with its spread."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import groupby
from typing import Any

from mtl_sharing.config import Config
from mtl_sharing.config.identity import (
    NOT_IN_GROUP,
    OF_SCORE,
    OF_SHARED_WEIGHTS,
    is_left_out,
)
from mtl_sharing.report.inputs.labels import (
    Settings,
    differing,
    distinguishing,
    is_digest,
    make_labels,
)
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.run_folder.discovery import natural_key
from mtl_sharing.score.reference import SHARING_PARTS, is_separate_result
from mtl_sharing.utils.nested import flatten, get


@dataclass(frozen=True, eq=False)
class Group:
    """Finished runs that are equal but for the seed.

    Attributes:
        label: short and unique: the regime, then the settings that distinguish the groups.
        runs: sorted by seed; several runs may have the same seed.
        differs: the settings that differ among the groups, as text by dotted key; also the facts
            of the data.
        separate: whether nothing is shared and nothing added to sharing: the baseline.
    """

    label: str
    runs: tuple[Run, ...]
    plan: str
    differs: Mapping[str, str]
    separate: bool

    @property
    def seeds(self) -> tuple[int, ...]:
        """The distinct seeds, sorted."""
        return tuple(sorted({run.result["seed"] for run in self.runs}))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in the order of the runs."""
        return tuple(self.runs[0].result["tasks"])

    @property
    def facts(self) -> Mapping[str, str]:
        """All that sets the group apart from others, by key."""
        return {"regime": self.runs[0].regime, **self.differs}

    def by_seed(self) -> dict[int, Run]:
        """One run of each seed: the first by name. A metric is the mean over the seed's runs."""
        return {run.result["seed"]: run for run in reversed(self.runs)}


def make_groups(runs: Iterable[Run]) -> list[Group]:
    """Groups the finished runs, baselines first, then by regime.

    Two runs belong together if they have the same canonical plan and the same parts, and agree in
    every setting that differs between any two runs (except the seed, folders, device, cache, and
    what a run is held against), and in their data, as far as results show it. Their machines may
    differ, which blanks what was timed: see ``values_of``.
    """
    finished = [run for run in runs if run.finished]
    settings = {run: _settings(run) for run in finished}
    names = differing([s for s in settings.values() if s is not None])

    def key(run: Run) -> tuple[str, ...]:
        own = settings[run]
        # A run without settings is equal to no other.
        rest = (run.name,) if own is None else tuple(own.get(name, "") for name in names)
        return run.plan, json.dumps(run.parts, sort_keys=True), *rest

    def order(run: Run) -> tuple[Any, ...]:
        return not _separate(run), natural_key(run.regime), key(run), run.result["seed"], run.name

    sets = [tuple(members) for _, members in groupby(sorted(finished, key=order), key)]
    own = [settings[members[0]] for members in sets]
    differs = [{n: s[n] for n in names if n in s} if s is not None else None for s in own]
    return [
        Group(label, members, members[0].plan, d or {}, _separate(members[0]))
        for label, members, d in zip(make_labels(sets, differs), sets, differs, strict=True)
    ]


def baseline_of(group: Group, groups: Iterable[Group]) -> Group | None:
    """Separate models with otherwise equal settings; the group itself if it is the baseline.

    Their score may be defined otherwise, or timed elsewhere: their training is the same.
    """
    fitting = [
        other for other in groups
        if other.separate and _text(other) == _text(group)
        and _agree(_training(other), _training(group))
    ]  # fmt: skip
    return group if group in fitting else next(iter(fitting), None)


def differing_keys(groups: Sequence[Group]) -> list[str]:
    """The keys in which groups differ, in the config's order, the regime first."""
    return differing([group.facts for group in groups])


def distinguishing_keys(groups: Sequence[Group]) -> list[str]:
    """The keys in which groups differ; of several that split them identically the first."""
    facts = [group.facts for group in groups]
    return distinguishing(facts, differing(facts))


def _training(group: Group) -> Settings:
    """The settings that have an effect without shared weights, too."""
    left_out = OF_SHARED_WEIGHTS | OF_SCORE
    return {
        name: text for name, text in group.differs.items()
        if not is_left_out(name, left_out)
    }  # fmt: skip


def _agree(one: Settings, other: Settings) -> bool:
    """Whether settings are equal; old results have no digests of their data, which may be equal."""
    return all(is_digest(n) and not (n in one and n in other) for n in differing([one, other]))


def _separate(run: Run) -> bool:
    return is_separate_result(run.plan, run.parts)


def _text(group: Group) -> dict[str, Any]:
    """The parts that describe how the text is read, and the data."""
    first = group.runs[0]
    counts = {name: text for name, text in _data(first).items() if not is_digest(name)}
    return {n: p for n, p in first.parts.items() if n not in SHARING_PARTS} | {"data": counts}


def _data(run: Run) -> Settings:
    """Facts of each task's data in a result; a folder's name does not identify its content."""
    names = ("metric", "train_examples", "examples", "select_examples", "floor", "digests.train",
             "digests.dev")  # fmt: skip
    facts = {
        f"data.{task}.{name}": get(record, name)
        for task, record in run.result["tasks"].items()
        for name in names
    }
    return {name: _value_text(value) for name, value in facts.items() if value is not None}


def _settings(run: Run) -> Settings | None:
    """The settings that decide the training, as text by dotted key; None if unknown.

    A setting that an older version lacks has its default. ``auto`` is the precision it became.
    """
    if not run.settings:
        return None
    score = {f"score.{name}": value for name, value in (run.result.get("scored_by") or {}).items()}
    settings = _defaults() | _as_text(run.settings) | _as_text(score)
    precision = get(run.result, "machine.precision")
    if precision is not None:
        settings["trainer.precision"] = str(precision)
    kept = {name: text for name, text in settings.items() if not is_left_out(name, NOT_IN_GROUP)}
    # Equal settings give other metrics in another version; the first one wrote none.
    version = str(get(run.result, "results_version") or 1)
    return kept | _data(run) | {"results_version": version}


@cache
def _defaults() -> Settings:
    return _as_text(asdict(Config()))


def _as_text(settings: Mapping[str, Any]) -> Settings:
    return {key: _value_text(value) for key, value in flatten(settings)}


def _value_text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_value_text, value))}]"
    if isinstance(value, float):
        return min(f"{value:g}", repr(value), key=lambda text: (float(text) != value, len(text)))
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)
