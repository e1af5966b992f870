"""From a trial's overrides to the regime they describe, and whether two are the same."""

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
from mtl_sharing.job.description import describe_regime, parts
from mtl_sharing.job.spec import RunSpec, resolve_spec
from mtl_sharing.utils.logging import log_level
from mtl_sharing.utils.nested import difference


@dataclass(frozen=True)
class ComposedTrial:
    """What a trial trains.

    Attributes:
        identity: equal for equal trainings: same canonical plan, same other values.
        words: plan and parts, for people.
    """

    run_spec: RunSpec
    identity: str
    words: str

    @property
    def config(self) -> Config:
        """All settings of the trial."""
        return self.run_spec.config

    @property
    def separate(self) -> bool:
        """Whether it is the baseline: nothing shared, nothing added."""
        return self.run_spec.architecture == self.run_spec.baseline


@dataclass(frozen=True)
class ConfigComposer:
    """Composes a trial's overrides as Hydra will in its job."""

    config: DictConfig
    context: HydraContext
    # A composition takes a third of a second, and corners of a space are trials, too.
    _regimes: dict[tuple[str, ...], ComposedTrial] = field(default_factory=dict, repr=False)

    def compose(self, overrides: Sequence[str]) -> Config:
        """The config of a trial.

        Raises:
            UserError, HydraException, OmegaConfBaseException: an override that does not fit.
        """
        return _config(self._load(overrides))

    def _load(self, overrides: Sequence[str]) -> DictConfig:
        return self.context.config_loader.load_sweep_config(self.config, list(overrides))

    def standalone(self, overrides: Sequence[str]) -> dict[str, Any]:
        """A config file that says what ``overrides`` do: options by group, other values as such.

        Of the config groups those that train.yaml names; what others set (an experiment, a
        sweep) stands among the values.
        """
        known = {each.name for each in fields(Config)}
        composed = self._load(overrides)
        chosen: Any = OmegaConf.to_container(composed.hydra.runtime.choices)
        wanted = {group: option for group, option in chosen.items() if group in known}
        loader = self.context.config_loader
        options = [f"{group}={_word(option)}" for group, option in wanted.items()]
        plain = loader.load_configuration("train", options, RunMode.RUN)
        values = difference(asdict(_config(plain)), asdict(_config(composed)))
        named = [{f"override {group}": option} for group, option in wanted.items()]
        head = {"defaults": ["train", *named, "_self_"]}
        place = {"hydra": {"searchpath": folders}} if (folders := self._own_folders()) else {}
        return {**head, **place, **values}

    def _own_folders(self) -> list[str]:
        """Config folders beside the project's: options of theirs may be among the chosen."""
        paths = [each.path for each in self.context.config_loader.get_search_path().get_path()]
        return [
            f"file://{Path(path.removeprefix('file://')).absolute()}"
            for path in paths
            if "://" not in path or path.startswith("file://")
        ]

    def regime(self, overrides: Sequence[str]) -> ComposedTrial:
        """The regime of a trial.

        Raises:
            UserError: a setting that does not fit.
        """
        words = tuple(overrides)
        if words not in self._regimes:
            self._regimes[words] = self._regime(words)
        return self._regimes[words]

    def _regime(self, overrides: Sequence[str]) -> ComposedTrial:
        config = self.compose(overrides)
        # What a config is warned of is for the trial's own log. As in a dry run nothing is timed,
        # nothing is asked of the hub.
        with log_level("mtl_sharing", logging.ERROR):
            run_spec = resolve_spec(config)
        return ComposedTrial(run_spec, identity_of(config, run_spec), describe_regime(run_spec))


def _config(values: DictConfig) -> Config:
    with open_dict(values):
        del values["hydra"]
    return to_config(values)


def _word(option: Any) -> str:
    return f"[{','.join(option)}]" if isinstance(option, list) else str(option)


def identity_of(config: Config, run_spec: RunSpec) -> str:
    """A digest that equal trainings have in common."""
    settings = without(asdict(config), NOT_IN_TRIAL)
    found: dict[str, Any] = {"settings": settings, "plan": str(run_spec.plan)}
    found["parts"] = parts(run_spec)
    text = json.dumps(found, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
