"""Words for config keys and objectives, for labels in figures."""

_SETTINGS = {
    "optimizer.lr": "learning rate",
    "split": "shared layers",
    "suite.select_fraction": "held out of train",
    "sampler.start": "first alpha",
    "sampler.end": "last alpha",
    "trainer.max_steps": "steps",
}
_OBJECTIVES = {
    "weighted": "score",
    "keep": "cost saved (below 0: performance missing)",
    "memory": "memory, relative to separate models",
    "time": "time, relative to separate models",
}


def setting_words(key: str) -> str:
    """A config key in words: ``sampler.name`` is "sampler", ``sampler.last_step`` "last step"."""
    group, _, rest = key.removesuffix(".name").partition(".")
    return _SETTINGS.get(key, (rest or group).replace(".", " ").replace("_", " "))


def objective_words(name: str) -> str:
    """A sweep's objective in words."""
    return _OBJECTIVES.get(name, name)


def scale_words(pearson: str) -> str:
    """How a performance counts correlations, by ``score.pearson``."""
    return "any r as (r + 1) / 2" if pearson == "unit" else "any r as it is"
