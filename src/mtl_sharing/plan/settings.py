"""Config group ``sharing``: a plan and the parts added to it. Without torch, to start fast."""

from dataclasses import dataclass, field


@dataclass
class PalsConfig:
    """``sharing.pals``: projected attention layers (Stickland and Murray 2019), each task's own.

    Attributes:
        size: width s of the projection, or a share of the encoder's width, like 204/768 (taken to
            the nearest multiple of ``heads``); null adds none.
        heads: attention heads; null takes the encoder's number.
        kind: ``attention``, or ``low_rank`` for the projections alone.
        activation: gelu, tanh or identity, after V_D; of ``low_rank`` between V_E and V_D, where
            it may be relu too.
        projections: V_E and V_D ``shared`` by a task's layers or each layer's ``own``; null is
            shared for attention and own for low rank, as in the paper.
        layers: which encoder layers have one: ``all``, ``top`` (upper half), ``bottom``, or
            ``shared`` (those that two tasks or more own together).
    """

    size: int | str | None = None
    heads: int | None = None
    kind: str = "attention"
    activation: str = "gelu"
    projections: str | None = None
    layers: str = "all"


@dataclass
class LanesConfig:
    """``sharing.lanes``: heads that also read what other heads say of the same text.

    Attributes:
        fusion: ``concatenation`` or ``attention``; null has no lanes.
        upstream: for each task the heads that it reads; a task that is not named reads none. Empty
            lets each read all before it in the suite's order, a head of one text none of two.
        upstream_rate: share of the gradient that upstream heads take from other tasks' losses:
            0 freezes them there, 1 trains them fully.
        task_dropout: rate at which the whole output of an upstream head is dropped in training.
    """

    fusion: str | None = None
    upstream: dict[str, list[str]] = field(default_factory=dict)
    upstream_rate: float = 0.0
    task_dropout: float = 0.0


DEFAULT_SPLIT = "6/12"
"""Of the top-level key ``split``."""


@dataclass
class TieConfig:
    """``sharing.tie``: the penalty over tied stages (T), which holds the tasks' copies together.

    Its gradient is added to the loss's before ``optimizer.clip`` looks at both.

    Attributes:
        kind: ``pairs`` (squared distance of each pair of copies), ``mean`` (of each copy to their
            mean) or ``trace_norm`` (of the copies of each weight, stacked).
        strength: what the penalty is multiplied by before it is added to the loss.
        average: divide it by the number of weights of one task's tied stages.
    """

    kind: str = "pairs"
    strength: float = 0.01
    average: bool = False


@dataclass
class SharingConfig:
    """The ``sharing`` config group: a plan with some numbers left open, and parts added to it.

    Attributes:
        template: a plan in which ``{split}`` stands for the top-level key, ``{layers}`` for the
            encoder's depth, ``{groups}`` for ``groups``, any other name for an entry of
            ``depths``, and ``{rest}`` for the layers that the others leave over.
        depths: numbers of layers that the template names, or shares of the encoder's, like 4/12.
        groups: groups of tasks, as after a G of the notation.
        plan: a plan in full; replaces the template.
        tie: the penalty over tied stages.
        pals: projected attention layers beside the encoder's.
        lanes: heads that read other heads.
    """

    name: str = ""
    template: str = "S{split}-I{rest}"
    depths: dict[str, int | str] = field(default_factory=dict)
    groups: str | None = None
    plan: str | None = None
    tie: TieConfig = field(default_factory=TieConfig)
    pals: PalsConfig = field(default_factory=PalsConfig)
    lanes: LanesConfig = field(default_factory=LanesConfig)
