"""Runs that differ in nothing but their seed are one group: a regime with its spread."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import groupby
from typing import Any

from mtl_sharing.config import Config
from mtl_sharing.config.identity import NOT_IN_GROUP, OF_SHARED_WEIGHTS, is_left_out
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.run_folder.discovery import natural_key
from mtl_sharing.score.reference import SHARING_PARTS, is_separate_result

# Told by the regime's own words, so not again in a label.
_IN_REGIME = ("suite.clean", "suite.lemmatizer", "suite.tags", "head.layer")
Settings = dict[str, str]


@dataclass(frozen=True, eq=False)
class Group:
    """Finished runs that are equal but for the seed.

    Attributes:
        label: short, unique among the groups: the regime, then the settings that differ among
            them.
        runs: in the order of their seeds; two with the same seed are both here.
        plan: canonical.
        regime: the plan with its parts.
        differs: the settings that differ among the groups, as text, by their dotted names.
        separate: whether nothing is shared and nothing added: the baseline.
    """

    label: str
    runs: tuple[Run, ...]
    plan: str
    regime: str
    differs: Mapping[str, str]
    separate: bool

    @property
    def seeds(self) -> tuple[int, ...]:
        """Each once, in order."""
        return tuple(sorted({run.result["seed"] for run in self.runs}))

    @property
    def tasks(self) -> tuple[str, ...]:
        """In the order of the runs."""
        return tuple(self.runs[0].result["tasks"])

    @property
    def repeated(self) -> tuple[int, ...]:
        """Seeds that several runs have. These count once, by the mean of their figures."""
        return tuple(s for s in self.seeds if sum(r.result["seed"] == s for r in self.runs) > 1)

    def by_seed(self) -> dict[int, Run]:
        """One run of each seed: the first by name, where several have it."""
        return {run.result["seed"]: run for run in reversed(self.runs)}


def make_groups(runs: Iterable[Run]) -> list[Group]:
    """The groups of the finished runs, the baselines first, then by regime.

    Two runs belong together if they have the same canonical plan, the same parts, the same data as
    far as their results tell, and agree in every setting that differs between any two runs, apart
    from the seed, folders, the device, the cache and the score.
    """
    finished = [run for run in runs if run.finished]
    settings = {run: _settings(run) for run in finished}
    differing = _differing([found for found in settings.values() if found is not None])

    def key(run: Run) -> tuple[str, ...]:
        own = settings[run]
        parts = json.dumps(run.parts, sort_keys=True)
        # Nobody knows what a run without settings is equal to.
        rest = (run.name,) if own is None else tuple(own.get(name, "") for name in differing)
        return run.plan, parts, json.dumps(_data(run)), *rest

    def order(run: Run) -> tuple[Any, ...]:
        return not _separate(run), natural_key(run.regime), key(run), run.result["seed"], run.name

    sets = [list(each) for _, each in groupby(sorted(finished, key=order), key)]
    own = [settings[each[0]] for each in sets]
    differs = [{n: s[n] for n in differing if n in s} if s is not None else {} for s in own]
    labels = _labels(sets, differs, [s is not None for s in own])
    return [
        Group(label, tuple(each), each[0].plan, each[0].regime, found, _separate(each[0]))
        for label, each, found in zip(labels, sets, differs, strict=True)
    ]


def baseline_of(group: Group, groups: Iterable[Group]) -> Group | None:
    """Separate models with otherwise equal settings; the group itself if it is that."""
    alike = [other for other in groups if other.separate and _text(other) == _text(group)]
    return next((other for other in alike if _training(other) == _training(group)), None)


def _training(group: Group) -> Settings:
    """The settings that matter with nothing shared, too."""
    return {n: text for n, text in group.differs.items() if not is_left_out(n, OF_SHARED_WEIGHTS)}


def _separate(run: Run) -> bool:
    return is_separate_result(run.plan, run.parts)


def _text(group: Group) -> dict[str, Any]:
    """Parts that say how the text is read, and the data."""
    first = group.runs[0]
    return {n: p for n, p in first.parts.items() if n not in SHARING_PARTS} | {"data": _data(first)}


def _data(run: Run) -> dict[str, list[Any]]:
    """What a result says of each task's data; a folder's name says nothing of what is in it."""
    names = ("train_examples", "examples", "floor")
    return {task: [of.get(name) for name in names] for task, of in run.result["tasks"].items()}


def _settings(run: Run) -> Settings | None:
    """All that matters, by dotted names; None where it is not known.

    A setting that a run of an older version does not have is what it is by default, and the
    precision what ``auto`` came to.
    """
    if not run.settings:
        return None
    found = _defaults() | dict(flat(run.settings))
    machine = run.result.get("machine")
    if isinstance(machine, dict) and "precision" in machine:
        found["trainer.precision"] = str(machine["precision"])
    return {name: text for name, text in found.items() if not is_left_out(name, NOT_IN_GROUP)}


@cache
def _defaults() -> Settings:
    return dict(flat(asdict(Config())))


def flat(settings: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """Every value of a nested config as text, by its dotted name."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{above}{name}.")
        elif not isinstance(value, Mapping):
            yield f"{above}{name}", _word(value)


def _word(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_word, value))}]"
    if isinstance(value, float):
        return min(f"{value:g}", repr(value), key=lambda text: (float(text) != value, len(text)))
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _under(name: str, names: Sequence[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in names)


def _differing(settings: Sequence[Settings]) -> list[str]:
    """The names whose values differ between any of the settings, in the config's order."""
    names = dict.fromkeys(name for each in settings for name in each)
    return [name for name in names if len({each.get(name) for each in settings}) > 1]


def _labels(
    sets: Sequence[Sequence[Run]], differs: Sequence[Settings], known: Sequence[bool]
) -> list[str]:
    """The regime, then the settings that part the groups; of several that part them alike one."""
    told: dict[tuple[str | None, ...], str] = {}
    for name in dict.fromkeys(name for each in differs for name in each):
        values = [each.get(name) for each in differs]
        parts = tuple(str(values.index(value)) for value in values)
        alone = len({v for v, k in zip(values, known, strict=True) if k}) > 1
        if alone and not _under(name, _IN_REGIME) and not name.endswith(".layer"):
            told.setdefault(parts, name)
    labels = []
    for runs, own, sure in zip(sets, differs, known, strict=True):
        # A group's option is chosen as sampler=NAME, though it stands under sampler.name.
        words = [f"{n.removesuffix('.name')}={own[n]}" for n in told.values() if n in own]
        rest = " ".join(words) if sure else f"({runs[0].name})"
        labels.append(f"{runs[0].regime}  {rest}".strip())
    # Two regimes may have the same words, as with parts that these leave out.
    return [
        label if labels.count(label) == 1 else f"{label}  ({runs[0].name})"
        for label, runs in zip(labels, sets, strict=True)
    ]
