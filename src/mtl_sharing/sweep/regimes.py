"""From a trial's overrides to the regime they describe, and whether two are the same."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from mtl_sharing.blueprint import Blueprint, make_blueprint
from mtl_sharing.config import Config, to_config
from mtl_sharing.logs import log_level
from mtl_sharing.outcome import describe_regime, parts

# What makes no other training: how a plan was written, where it runs, how it is scored, who is
# told of it.
_ASIDE = ("split", "sharing", "resume", "dry_run", "score", "cache", "tracker")
_ASIDE_TRAINER = ("device", "threads", "debug")


@dataclass(frozen=True)
class Regime:
    """What a trial trains.

    Attributes:
        identity: equal for equal trainings: same canonical plan, same other values.
        words: plan and parts, for people.
    """

    blueprint: Blueprint
    identity: str
    words: str

    @property
    def config(self) -> Config:
        """All settings of the trial."""
        return self.blueprint.config

    @property
    def separate(self) -> bool:
        """Whether it is the baseline: nothing shared, nothing added."""
        return self.blueprint.architecture == self.blueprint.baseline


@dataclass(frozen=True)
class Composer:
    """Composes a trial's overrides as Hydra will in its job."""

    config: DictConfig
    context: HydraContext
    # A composition takes a third of a second, and corners of a space are trials, too.
    _regimes: dict[tuple[str, ...], Regime] = field(default_factory=dict, repr=False)

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
        values = _difference(asdict(_config(plain)), asdict(_config(composed)))
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

    def regime(self, overrides: Sequence[str]) -> Regime:
        """The regime of a trial.

        Raises:
            UserError: a setting that does not fit.
        """
        words = tuple(overrides)
        if words not in self._regimes:
            self._regimes[words] = self._regime(words)
        return self._regimes[words]

    def _regime(self, overrides: Sequence[str]) -> Regime:
        config = self.compose(overrides)
        # What a config is warned of is for the trial's own log. As in a dry run nothing is timed,
        # nothing is asked of the hub.
        with log_level("mtl_sharing", logging.ERROR):
            blueprint = make_blueprint(replace(config, dry_run=True))
        return Regime(blueprint, identity_of(config, blueprint), describe_regime(blueprint))


def _config(values: DictConfig) -> Config:
    with open_dict(values):
        del values["hydra"]
    return to_config(values)


def _word(option: Any) -> str:
    return f"[{','.join(option)}]" if isinstance(option, list) else str(option)


def _difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The values of ``new`` that ``old`` has otherwise."""
    found: dict[str, Any] = {}
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            inner = _difference(old[name], value)
            found |= {name: inner} if inner else {}
        elif name not in old or old[name] != value:
            found[name] = value
    return found


def identity_of(config: Config, blueprint: Blueprint) -> str:
    """A digest that equal trainings have in common."""
    settings = {name: value for name, value in asdict(config).items() if name not in _ASIDE}
    for name in _ASIDE_TRAINER:
        del settings["trainer"][name]
    found: dict[str, Any] = {"settings": settings, "plan": str(blueprint.plan)}
    found["parts"] = parts(blueprint)
    text = json.dumps(found, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
