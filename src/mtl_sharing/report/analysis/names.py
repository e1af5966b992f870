"""Names of groups in figures: words in place of keys, and no value that most groups share."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtl_sharing.plotting.words import setting_words
from mtl_sharing.report.inputs.groups import Group


@dataclass(frozen=True)
class GroupNames:
    """The name of each group by its label, and a sentence on what most names leave out."""

    by_label: Mapping[str, str]
    note: str = ""

    def of(self, label: str) -> str:
        """The name of a group, or the label of a run without one."""
        return self.by_label.get(label, label)


def group_names(groups: Sequence[Group]) -> GroupNames:
    """Names the groups by their regime and the settings in which they are not like most groups."""
    shown = {group: _shown_settings(group) for group in groups}
    usual: dict[str, str] = {}
    for key in dict.fromkeys(key for own in shown.values() for key in own):
        value, count = Counter(own[key] for own in shown.values() if key in own).most_common(1)[0]
        if count > 1:
            usual[key] = value
    names = {group.label: _name(group, own, usual) for group, own in shown.items()}
    if len(set(names.values())) < len(names):  # a group may lack what another has as usual
        return GroupNames({group.label: _name(group, own, {}) for group, own in shown.items()})
    text = ", ".join(_words(key, value) for key, value in usual.items())
    return GroupNames(names, f" Where a name says nothing else: {text}." if text else "")


def _shown_settings(group: Group) -> dict[str, str]:
    """The settings in a group's label, by their keys."""
    parts = group.label.removeprefix(group.runs[0].regime)
    settings = group.differs.items()
    return {n: v for n, v in settings if f" {n.removesuffix('.name')}={v} " in f"{parts} "}


def settings_words(group: Group) -> str:
    """The settings in a group's label, in words."""
    return ", ".join(_words(key, value) for key, value in _shown_settings(group).items())


def _name(group: Group, shown: Mapping[str, str], usual: Mapping[str, str]) -> str:
    own = [_words(key, value) for key, value in shown.items() if usual.get(key) != value]
    if not shown:
        return group.label
    return "  ".join([group.runs[0].regime, *[", ".join(own)] * bool(own)])


def _words(key: str, value: str) -> str:
    return f"{setting_words(key)} {'none' if value == 'null' else value}"
