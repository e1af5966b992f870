"""The part of config group ``suite`` that adds tags to words. Without numpy, to start fast."""

from dataclasses import dataclass, field


@dataclass
class TagsConfig:
    """``suite.tags``: what a spaCy pipeline says of each word, as embeddings of the encoder's.

    Attributes:
        pipeline: an installed spaCy pipeline's name, or the folder of one; null adds no tags. A
            package runs its own code, so take only one that you trust.
        pos: parts of speech, as Universal Dependencies names them.
        ner: types of named entities, as the pipeline names them.
    """

    pipeline: str | None = None
    pos: bool = True
    ner: bool = True


@dataclass
class SuiteConfig:
    """The ``suite`` config group: the data behind the tasks. The tasks stand under ``task``.

    Attributes:
        pretrained: checkpoint of a small encoder pretrained on this suite's text, from which
            ``encoder=tiny`` starts.
        tasks: names of the tasks to take, in this order; null takes all under ``task``.
        max_length: longest sequence in tokens; longer texts are cut, and counted.
        max_train_rows, max_dev_rows: take only the first rows of each source of a task (most
            tasks have one, their own files).
        select_fraction: share of each task's train examples, 0 to below 1, that does not train and
            takes dev's place in every choice: patience, best weights, a sweep's best trial. Dev is
            then only reported. 0 chooses by dev.
        on_bad_row: ``skip`` rows without text or label, or stop with an ``error``.
        relatedness: bundled suite only: share of concepts, 0 to 1, that the tasks word alike.
        data_seed: bundled suite only: which text is generated.
        clean: steps that change every text first, in this order: letters, lower, spaces,
            stop_words, stem, lemmas (see ``data/cleaning.py``).
        lemmatizer: a spaCy pipeline, by its name or folder, for ``lemmas``.
        tags: parts of speech and named entities beside the tokens, read off the clean texts.
    """

    name: str = ""
    pretrained: str | None = None
    tasks: list[str] | None = None
    max_length: int = 128
    max_train_rows: int | None = None
    max_dev_rows: int | None = None
    select_fraction: float = 0.0
    on_bad_row: str = "skip"
    relatedness: float = 0.8
    data_seed: int = 0
    clean: list[str] = field(default_factory=list)
    lemmatizer: str | None = None
    tags: TagsConfig = field(default_factory=TagsConfig)
