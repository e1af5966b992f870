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
    """``sharing.lanes``: heads that also read the outputs of other heads for the same text.

    Attributes:
        fusion: ``concatenation`` or ``attention``; null has no lanes.
        upstream: the heads that each task reads; a task left out reads none. If empty, each task
            reads all tasks before it in the suite, but tasks of single texts read none of pairs.
        upstream_rate: share of the gradient of other tasks' losses that reaches upstream heads:
            0 stops it, 1 passes all of it.
        task_dropout: rate at which the whole output of an upstream head is dropped in training.
    """

    fusion: str | None = None
    upstream: dict[str, list[str]] = field(default_factory=dict)
    upstream_rate: float = 0.0
    task_dropout: float = 0.0


DEFAULT_SPLIT = "6/12"
"""Default of the top-level key ``split``."""


@dataclass
class TieConfig:
    """``sharing.tie``: a penalty over tied stages (T), which pulls the tasks' copies together.

    Its gradient is added to that of the loss before ``optimizer.clip`` applies.

    Attributes:
        kind: ``pairs`` (squared distances of all pairs of copies), ``mean`` (squared distances to
            their mean) or ``trace_norm`` (of the copies of each weight, stacked).
        strength: factor of the penalty in the loss.
        average: divide the penalty by the number of weights of one task's tied stages.
    """

    kind: str = "pairs"
    strength: float = 0.01
    average: bool = False


@dataclass
class SharingConfig:
    """The ``sharing`` config group: a template of a plan, and parts added to the plan.

    Attributes:
        name: the regime's name for people.
        template: a plan with placeholders: ``{split}`` is the top-level key, ``{layers}`` the
            encoder's depth, ``{groups}`` the setting ``groups``, ``{rest}`` the remaining layers,
            and any other name an entry of ``depths``.
        depths: numbers of layers for the template, or fractions of the encoder's, like 4/12.
        groups: groups of tasks, as after a G of the notation.
        plan: a complete plan, in place of the template.
        tie: the penalty over tied stages.
        pals: projected attention layers beside the encoder's.
        lanes: heads that read the outputs of other heads.
    """

    name: str = ""
    template: str = "S{split}-I{rest}"
    depths: dict[str, int | str] = field(default_factory=dict)
    groups: str | None = None
    plan: str | None = None
    tie: TieConfig = field(default_factory=TieConfig)
    pals: PalsConfig = field(default_factory=PalsConfig)
    lanes: LanesConfig = field(default_factory=LanesConfig)
