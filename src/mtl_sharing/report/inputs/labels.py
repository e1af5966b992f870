"""Labels of groups: the regime, then the settings that tell groups apart."""

from collections.abc import Mapping, Sequence

from mtl_sharing.report.inputs.runs import Run

# The regime's own description has these keys and all layers, so a label does not repeat them.
_IN_REGIME = ("suite.clean.", "suite.lemmatizer.", "suite.tags.")
Settings = dict[str, str]
"""Values as text by dotted key."""


def make_labels(sets: Sequence[Sequence[Run]], differs: Sequence[Settings | None]) -> list[str]:
    """Labels the groups: the regime, then the settings that distinguish them.

    Settings that split the groups identically are shown once, facts of the data only where no
    setting tells two groups apart, and digests only where no other fact does.
    """
    known = [settings or {} for settings in differs]
    names = [name for name in differing(known) if not _is_in_regime(name)]
    setting_names = [name for name in names if not name.startswith("data.")]
    fact_names = [name for name in names if not is_digest(name)]
    labels: list[str] = []
    for shown in (setting_names, fact_names, names):
        labels = _with_settings(sets, differs, distinguishing(known, shown))
        if len(set(labels)) == len(labels):
            break
    # Two regimes may have the same description, since it omits some parts.
    return [
        label if labels.count(label) == 1 else f"{label}  ({runs[0].name})"
        for label, runs in zip(labels, sets, strict=True)
    ]


def is_digest(name: str) -> bool:
    """Whether a key holds a digest of a task's data."""
    return ".digests." in name


def _with_settings(
    sets: Sequence[Sequence[Run]], differs: Sequence[Settings | None], shown: Sequence[str]
) -> list[str]:
    """Each regime with its values of the settings that are shown, or its name without any."""
    labels = []
    for runs, settings in zip(sets, differs, strict=True):
        rest = f"({runs[0].name})"
        if settings is not None:
            # A group's option is chosen as sampler=NAME, though its key is sampler.name.
            parts = [f"{n.removesuffix('.name')}={settings[n]}" for n in shown if n in settings]
            rest = " ".join(parts)
        labels.append(f"{runs[0].regime}  {rest}".strip())
    return labels


def _is_in_regime(name: str) -> bool:
    return name.endswith(".layer") or f"{name}.".startswith(_IN_REGIME)


def differing(facts: Sequence[Mapping[str, str]]) -> list[str]:
    """The keys whose values differ between any of the facts, in their order."""
    names = dict.fromkeys(name for some in facts for name in some)
    return [name for name in names if len({some.get(name) for some in facts}) > 1]


def distinguishing(facts: Sequence[Mapping[str, str]], names: Sequence[str]) -> list[str]:
    """One of these keys, the first, for each way in which their values split the facts."""
    by_split: dict[tuple[int, ...], str] = {}
    for name in names:
        values = [some.get(name) for some in facts]
        by_split.setdefault(tuple(values.index(value) for value in values), name)
    return list(by_split.values())
