"""Composes a trial's overrides into its config, its run spec and its identity."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from mtl_sharing.config import Config, to_config
from mtl_sharing.config.identity import NOT_IN_TRIAL, without
from mtl_sharing.config.interpolations import interpolated_values, interpolation_texts
from mtl_sharing.config.schema import literal
from mtl_sharing.job.description import describe_regime, parts
from mtl_sharing.job.spec import RunSpec, resolve_spec
from mtl_sharing.utils.logging import log_level
from mtl_sharing.utils.nested import difference, set_at


@dataclass(frozen=True)
class ComposedTrial:
    """A trial with all its settings.

    Attributes:
        identity: a digest, equal for trials with the same canonical plan and the same other
            settings that affect the trained weights.
        regime: plan and parts in one line.
    """

    run_spec: RunSpec
    identity: str
    regime: str

    @property
    def config(self) -> Config:
        """All settings of the trial."""
        return self.run_spec.config

    @property
    def is_baseline(self) -> bool:
        """Whether the trial trains separate models: nothing shared, nothing added."""
        return self.run_spec.is_separate


@dataclass(frozen=True)
class ConfigComposer:
    """Composes a trial's overrides as Hydra does in the trial's job."""

    config: DictConfig
    context: HydraContext
    # Composing takes a third of a second, and the corners of a space are trials, too.
    _trials: dict[tuple[str, ...], ComposedTrial] = field(default_factory=dict, repr=False)

    def compose(self, overrides: Sequence[str]) -> tuple[Config, dict[str, str]]:
        """The config and interpolations of a trial; raises what :meth:`compose_trial` does."""
        values = _of_job(self._load(overrides))
        return to_config(values), interpolation_texts(values)

    def _load(self, overrides: Sequence[str]) -> DictConfig:
        return self.context.config_loader.load_sweep_config(self.config, list(overrides))

    def standalone_config(self, overrides: Sequence[str]) -> dict[str, Any]:
        """The content of a config file that is equivalent to ``overrides``.

        Config groups of train.yaml are chosen in its defaults list. Whatever else sets values (an
        experiment, a sweep) is written out as values.
        """
        composed = self._load(overrides)
        choices: Any = OmegaConf.to_container(composed.hydra.runtime.choices)
        groups = {entry.name for entry in fields(Config)}
        chosen = {group: option for group, option in choices.items() if group in groups}
        loader = self.context.config_loader
        texts = {g: f"[{','.join(o)}]" if isinstance(o, list) else o for g, o in chosen.items()}
        options = [f"{group}={text}" for group, text in texts.items()]
        plain = loader.load_configuration("train", options, RunMode.RUN)
        plain, composed = _of_job(plain), _of_job(composed)
        values = difference(asdict(to_config(plain)), asdict(to_config(composed)))
        values.pop("name", None)  # of the sweep's own folder
        values = literal(values)  # as text, but for what is interpolated again
        for key, value in interpolated_values(composed).items():
            set_at(values, key, value)
        named = [{f"override {group}": option} for group, option in chosen.items()]
        head = {"defaults": ["train", *named, "_self_"]}
        # Config folders of the user, which may hold some of the chosen options.
        sources = loader.get_search_path().get_path()
        paths = [source.path.removeprefix("file://") for source in sources]
        folders = [f"file://{Path(path).absolute()}" for path in paths if "://" not in path]
        search = {"hydra": {"searchpath": folders}} if folders else {}
        return {**head, **search, **values}

    def compose_trial(self, overrides: Sequence[str]) -> ComposedTrial:
        """The trial with these overrides.

        Raises:
            UserError, HydraException, OmegaConfBaseException: an override that does not fit.
        """
        key = tuple(overrides)
        if key not in self._trials:
            config, texts = self.compose(overrides)
            # Warnings about a config go to the log of its own trial.
            with log_level("mtl_sharing", logging.ERROR):
                run_spec = resolve_spec(config, texts)
            identity, regime = trial_identity(run_spec), describe_regime(run_spec)
            self._trials[key] = ComposedTrial(run_spec, identity, regime)
        return self._trials[key]


def _of_job(composed: DictConfig) -> DictConfig:
    """The config without Hydra's own part."""
    with open_dict(composed):
        del composed["hydra"]
    return composed


def trial_identity(run_spec: RunSpec) -> str:
    """A digest that equal trainings have in common."""
    content = {
        "settings": without(asdict(run_spec.config), NOT_IN_TRIAL),
        "plan": str(run_spec.plan),
        "parts": parts(run_spec),
    }
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
