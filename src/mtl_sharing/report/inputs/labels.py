"""Labels of groups: the regime, then the settings that tell groups apart."""

from collections import Counter
from collections.abc import Mapping, Sequence

from mtl_sharing.plotting.words import setting_words
from mtl_sharing.report.inputs.runs import Run

# The regime's own description has these keys and all layers, so a label does not repeat them.
_IN_REGIME = ("suite.clean.", "suite.lemmatizer.", "suite.tags.")
Settings = dict[str, str]
"""Values as text by dotted key."""


def make_labels(sets: Sequence[Sequence[Run]], differs: Sequence[Settings | None]) -> list[str]:
    """Labels the groups: the regime, then the settings that distinguish them.

    Settings that split the groups identically are shown once, facts of the data only where no
    setting tells two groups apart, and digests only where no other fact does. A value that most
    groups have is left out, since the labels of the others differ from it: see
    :func:`common_settings`.
    """
    known = [settings or {} for settings in differs]
    words = _words_of(differing(known))
    names = [name for name in words if not _is_in_regime(name)]
    setting_names = [name for name in names if not name.startswith("data.")]
    fact_names = [name for name in names if not is_digest(name)]
    labels: list[str] = []
    for shown in (setting_names, fact_names, names):
        chosen = {name: words[name] for name in distinguishing(known, shown)}
        labels = _with_settings(sets, differs, chosen)
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
    sets: Sequence[Sequence[Run]],
    differs: Sequence[Settings | None],
    shown: Mapping[str, str],
) -> list[str]:
    """Each regime with its values of the settings that are shown, or its name without any.

    ``shown`` has what the labels call each key.
    """
    labels = []
    usual = {name: _usual([(own or {}).get(name) for own in differs]) for name in shown}
    for runs, settings in zip(sets, differs, strict=True):
        rest = f"({runs[0].name})"
        if settings is not None:
            said = [n for n in shown if n in settings and settings[n] != usual[n]]
            rest = ", ".join(f"{shown[name]} {settings[name]}" for name in said)
        labels.append(f"{runs[0].regime}  {rest}".strip())
    return labels


def _usual(values: Sequence[str | None]) -> str | None:
    """The value of more than half of the groups; None without one."""
    ((value, count),) = Counter(values).most_common(1) or [(None, 0)]
    return value if 2 * count > len(values) else None


def _words_of(keys: Sequence[str]) -> dict[str, str]:
    """Words for the keys, such as ``learning rate``; two keys never have the same words."""
    words = {key: setting_words(key) for key in keys}
    counts = Counter(words.values())
    return {key: text if counts[text] == 1 else key for key, text in words.items()}


def common_settings(labels: Sequence[str], differs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The values that labels leave out since most groups have them, by what labels call them.

    Args:
        differs: what differs among the groups that have the labels.
    """
    common = {}
    for key, name in _words_of(differing(differs)).items():
        of_groups = [f"{name} {own.get(key)}" for own in differs]
        said = [
            text in label.partition("  ")[2].split(", ")
            for text, label in zip(of_groups, labels, strict=True)
        ]
        unsaid = {own.get(key) for own, is_said in zip(differs, said, strict=True) if not is_said}
        if any(said) and len(unsaid) == 1 and None not in unsaid:
            common[name] = str(unsaid.pop())
    return common


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
