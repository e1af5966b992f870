"""The table of what each config key decides, used to compare, group and share runs.

The keys of baselines, the identity of a sweep's trials and its record, the groups of a report and
the clean-up of an export are derived from it. A new key must be entered here: a test fails for one
without an entry.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from enum import Enum
from typing import Any

from mtl_sharing.config.schema import Config


class Decides(Enum):
    """The effect of a config key."""

    TRAINING = "the trained weights, or how they are evaluated"
    SEED = "every random draw"
    SHARING = "the plan and what a run adds to separate models, compared in canonical form"
    SHARED_GRADIENTS = "gradients on weights that tasks share; nothing where they share none"
    GRADIENT_RECORD = "what is recorded of gradients on shared weights"
    TASKS = "which tasks take part"
    START_FILES = "where a run starts from: names of files whose content is compared instead"
    DATA_FOLDER = "the folder of the data files"
    DATA_FILES = "names and layout of data files whose content is compared instead"
    LABEL = "a name for people"
    PRECISION = "the rounding of products; a run records the one that auto became"
    PLACE = "where a run works, and how fast"
    INVOCATION = "what one call of the command does or shows"
    SCORE = "what the score is: scores that differ in it are not comparable"
    SCORING = "what a trained run is held against"
    TRACKING = "who else is shown the metrics"


# Dotted keys without their group's name; an empty string stands for the whole group. "task.*" and
# "phases.*" stand for every task and phase.
_TABLE: Mapping[str, Mapping[Decides, str]] = {
    "": {
        Decides.SEED: "seed",
        Decides.SHARING: "split",
        Decides.DATA_FOLDER: "data_dir",
        Decides.PLACE: "name",
        Decides.INVOCATION: "resume dry_run check_data",
    },
    "encoder": {
        Decides.LABEL: "name",
        Decides.START_FILES: "checkpoint tokenizer",
        Decides.TRAINING: "family layers hidden heads intermediate vocabulary positions "
        "position_offset token_types embedding activation epsilon pooler dropout attention_dropout",
    },
    "sharing": {
        Decides.SHARING: "name template depths groups plan tie.kind tie.strength tie.average "
        "pals.size pals.heads pals.kind pals.activation pals.projections pals.layers "
        "lanes.fusion lanes.upstream lanes.upstream_rate lanes.task_dropout",
    },
    "head": {Decides.TRAINING: "depth width activation dropout layer pooling regression"},
    "pairing": {Decides.TRAINING: "mode features place"},
    "suite": {
        Decides.LABEL: "name",
        Decides.START_FILES: "pretrained",
        Decides.TASKS: "tasks",
        Decides.TRAINING: "max_length max_train_rows max_dev_rows select_fraction on_bad_row "
        "generator relatedness data_seed clean lemmatizer tags.pipeline tags.pos tags.ner",
    },
    "task.*": {
        Decides.DATA_FILES: "columns train dev test format sources",
        Decides.TRAINING: "kind classes labels range metric loss pairing batch_size layer",
    },
    "sampler": {Decides.TRAINING: "name exhausted alpha start end shape"},
    "loss": {
        Decides.TRAINING: "weighting weights temperature lr",
        Decides.SHARED_GRADIENTS: "aggregation beta c alpha",
        Decides.GRADIENT_RECORD: "cosines",
    },
    "regularizer": {
        Decides.TRAINING: "name weight steps step_size noise epsilon proximal decay",
    },
    "distillation": {
        Decides.SHARING: "weight end temperature",
        Decides.START_FILES: "teacher",
    },
    "optimizer": {Decides.TRAINING: "lr head_lr layer_decay weight_decay betas epsilon clip"},
    "scheduler": {Decides.TRAINING: "name warmup"},
    "phases.*": {
        Decides.TRAINING: "kind when steps epochs lr batch_size sampler frozen rate whole_word "
        "second task similarity scale",
    },
    "trainer": {
        Decides.TRAINING: "max_steps epochs steps_per_epoch batch_size accumulation eval_every "
        "eval_examples eval_batch_size patience",
        Decides.PRECISION: "precision",
        Decides.PLACE: "device threads",
        Decides.INVOCATION: "debug",
    },
    "tracker": {
        Decides.TRACKING: "tensorboard.enabled mlflow.enabled mlflow.folder mlflow.experiment",
    },
    "score": {
        Decides.SCORE: "memory_exponent time_exponent memory time clock pearson",
        Decides.SCORING: "objective keep reference untuned pairs",
        Decides.INVOCATION: "rounded",
    },
    "cache": {Decides.PLACE: "folder max_gb tokens prefix"},
}
IDENTITY: Mapping[str, Decides] = {
    f"{group}.{key}".lstrip("."): decided
    for group, keys_of in _TABLE.items()
    for decided, keys in keys_of.items()
    for key in keys.split()
}
"""Every key of the config, with what it decides."""

NOT_IN_BASELINE = frozenset(Decides) - {
    Decides.TRAINING,
    Decides.SEED,
    Decides.SHARED_GRADIENTS,
    Decides.GRADIENT_RECORD,
}
"""Left out of a baseline's key, which has the content of files and the precision beside it."""
NOT_IN_TRIAL = frozenset({
    Decides.SHARING, Decides.INVOCATION, Decides.PLACE, Decides.SCORE, Decides.SCORING,
    Decides.TRACKING,
})  # fmt: skip
"""Left out of the identity of a sweep's trial, which has the canonical plan beside it."""
NOT_IN_SWEEP = frozenset({Decides.INVOCATION, Decides.PLACE})
"""Keys in which two processes of one sweep may differ."""
NOT_IN_GROUP = (NOT_IN_TRIAL - {Decides.SCORE}) | {
    Decides.SEED,
    Decides.DATA_FOLDER,
    Decides.GRADIENT_RECORD,
}
"""Keys in which runs of a report's group may differ; results record their data themselves."""
OF_SCORE = frozenset({Decides.SCORE})
"""Without effect on what a training reaches."""
OF_SHARED_WEIGHTS = frozenset({Decides.SHARED_GRADIENTS, Decides.GRADIENT_RECORD})
"""Without effect where tasks share no weight."""


def decides(key: str) -> Decides:
    """The effect of a dotted key; a key below an entry of the table decides the same.

    Raises:
        KeyError: the table has no entry for the key.
    """
    parts = _generic(key).split(".")
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in IDENTITY:
            return IDENTITY[name]
    raise KeyError(f"{key}: config/identity.py has no entry for it")


def is_left_out(key: str, left_out: Collection[Decides]) -> bool:
    """Whether a key decides one of ``left_out``; one of another version's config does not."""
    try:
        return decides(key) in left_out
    except KeyError:
        return False


def without(
    settings: Mapping[str, Any], left_out: Collection[Decides], group: str = ""
) -> dict[str, Any]:
    """Nested settings without the keys that decide one of ``left_out``; empty groups go too.

    Args:
        group: dotted name of the settings within the config, with a dot at its end.
    """
    kept: dict[str, Any] = {}
    for name, value in settings.items():
        key = f"{group}{name}"
        if not (isinstance(value, Mapping) and _is_group(key)):
            if not is_left_out(key, left_out):
                kept[name] = value
        elif (inner := without(value, left_out, f"{key}.")) or not value:
            kept[name] = inner
    return kept


def _is_group(key: str) -> bool:
    """Whether keys of the table stand below this one."""
    return any(name.startswith(f"{_generic(key)}.") for name in IDENTITY)


def _generic(key: str) -> str:
    """The key with a star in place of a task's or a phase's own name."""
    parts = key.split(".")
    if parts[0] in ("task", "phases") and len(parts) > 1:
        parts[1] = "*"
    return ".".join(parts)


def baseline_settings(config: Config, tasks: list[str]) -> dict[str, Any]:
    """The settings that decide what a baseline of these tasks reaches."""
    settings = without(asdict(config), NOT_IN_BASELINE)
    return settings | {"task": {task: settings["task"][task] for task in tasks}}
