"""Config group ``suite``. Imports neither numpy nor torch, so that commands start fast."""

from dataclasses import dataclass, field


@dataclass
class TagsConfig:
    """``suite.tags``: part-of-speech and entity tags of words, embedded by the encoder.

    Attributes:
        pipeline: name of an installed spaCy pipeline, or a pipeline's folder; null adds no tags. A
            package runs its own code, so take only one that you trust.
        pos: parts of speech of Universal Dependencies.
        ner: types of named entities, as the pipeline names them.
    """

    pipeline: str | None = None
    pos: bool = True
    ner: bool = True


@dataclass
class SuiteConfig:
    """The ``suite`` config group: the data of the tasks. Group ``task`` holds the tasks themselves.

    Attributes:
        name: the suite's name for people.
        pretrained: checkpoint of a small encoder pretrained on this suite's text, used by
            ``encoder=tiny``.
        tasks: names of the tasks to take, in this order; null takes all under ``task``.
        max_length: longest sequence in tokens; longer texts are cut, and counted.
        max_train_rows, max_dev_rows: take only the first rows of each source of a task (most
            tasks have one, their own files).
        select_fraction: share of each task's train examples, 0 to below 1, that is held out of
            training and replaces dev in every choice: patience, best weights, a sweep's best
            trial. Dev is then only reported. 0 chooses by dev.
        on_bad_row: ``skip`` rows without text or label, or stop with an ``error``.
        generator: how tasks without files are generated: ``bundled`` or ``planted``.
        relatedness: generated tasks only: share of concepts, 0 to 1, that all tasks word alike
            (``bundled``), or that have one sense in all tasks (``planted``).
        data_seed: generated tasks only: seed of the text.
        clean: steps that change every text first, in this order: letters, lower, spaces,
            stop_words, stem, lemmas (see ``data/text/cleaning.py``).
        lemmatizer: a spaCy pipeline, by its name or folder, for ``lemmas``.
        tags: part-of-speech and entity tags, computed from the cleaned texts.
    """

    name: str = ""
    pretrained: str | None = None
    tasks: list[str] | None = None
    max_length: int = 128
    max_train_rows: int | None = None
    max_dev_rows: int | None = None
    select_fraction: float = 0.0
    on_bad_row: str = "skip"
    generator: str = "bundled"
    relatedness: float = 0.8
    data_seed: int = 0
    clean: list[str] = field(default_factory=list)
    lemmatizer: str | None = None
    tags: TagsConfig = field(default_factory=TagsConfig)
