"""The structure of a network as one checked value. No torch: operation counts need none."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtl_sharing.errors import UserError
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.specs import HeadShape, LaneShape, PalShape, TaskHead
from mtl_sharing.plan.ownership import Groups, Ownership, connected
from mtl_sharing.plan.plan import SharingPlan, Stage


@dataclass(frozen=True)
class Architecture:
    """A network without its weights.

    Attributes:
        heads: head of each task, in the order of the plan's tasks.
        head: hidden layers of every head.
        pals, lanes: parts beside the plan's stages.

    Raises:
        UserError: parts that do not fit each other.
    """

    encoder: EncoderShape
    plan: SharingPlan
    heads: tuple[TaskHead, ...]
    head: HeadShape
    pals: PalShape | None = None
    lanes: LaneShape | None = None

    def __post_init__(self) -> None:
        self._check_pooling()
        self._check_lanes()
        self._check_ties()
        self._check_shared_widths()

    @property
    def pooler(self) -> bool:
        """Whether any head reads the pooler."""
        return any(head.pooling == "pooler" for head in self.heads)

    @property
    def read(self) -> dict[str, int]:
        """The layer that a task's head reads, for tasks that read below the last layer."""
        return {head.name: head.layer for head in self.heads if head.layer is not None}

    @property
    def frozen_layers(self) -> int:
        """Number of lowest encoder layers whose states of a text are the same in every step.

        They and the embeddings are frozen, have no adapter, and are part of every task's path.
        """
        if self.plan.embeddings.trains:
            return 0
        trained = [depth for depth, own in enumerate(self.plan.layers) if own.trains]
        adapted = () if self.pals is None else self.pals.layers
        ends = [layer + 1 for layer in self.read.values()]
        return min([self.plan.depth, *trained, *adapted, *ends])

    def last_layer(self, task: str) -> int:
        """The number of the encoder layer whose states the head of ``task`` reads."""
        return self.read.get(task, self.plan.depth - 1)

    def head_of(self, task: str) -> TaskHead:
        """The head of ``task``."""
        (own,) = [head for head in self.heads if head.name == task]
        return own

    def stages(self) -> tuple[Stage, ...]:
        """The plan's stages that this network has."""
        return self.plan.stages(self.head.depth, self.pooler, self.read)

    @property
    def tied(self) -> bool:
        """Whether any stage has tied copies."""
        return any(stage.ownership.tied and stage.owners for stage in self.stages())

    def lane_norm(self) -> Stage:
        """The layer norm before the lanes: owned like the pooler, but always trained."""
        own = self.plan.pooler if self.plan.pooler.trains else Ownership("S")
        return Stage("lanes.norm", own, own.owners(self.plan.tasks))

    def reaching(self, stage_name: str, owners: Sequence[str]) -> tuple[str, ...]:
        """The tasks among a stage's ``owners`` whose predictions use it."""
        kind, _, number = stage_name.partition(".")
        if kind == "pooler":
            return tuple(task for task in owners if self.head_of(task).pooling == "pooler")
        depth = int(number) if kind == "layer" else 0
        return tuple(task for task in owners if self.read.get(task, depth) >= depth)

    def components(self) -> Groups:
        """The tasks that share a trained weight, directly or through others: separate trainings.

        A tie couples the tasks of its copies, and a lane couples a head with the heads it reads.
        Components come in the order of their first tasks, tasks in the order of the plan.
        """
        stages = self.stages() if self.lanes is None else (*self.stages(), self.lane_norm())
        trained = [stage for stage in stages if stage.trains]
        groups = [self.reaching(s.name, owners) for s in trained for owners in s.owners]
        groups += [self.plan.tasks] * self.tied
        if self.lanes is not None:
            groups += [(task, *self.lanes.ancestors(task)) for task in self.plan.tasks]
        return connected(self.plan.tasks, groups)

    def lane_widths(self, task: str) -> tuple[int, ...]:
        """Width of each upstream output at the fusion in front of the head of ``task``."""
        if self.lanes is None:
            return ()
        reader = self.head_of(task)
        upstream = [self.head_of(name) for name in self.lanes.upstream[task]]
        # A pair that is one vector already gets a single-text head's outputs for both texts.
        return tuple(h.outputs * (2 if reader.joins_first and not h.pair else 1) for h in upstream)

    def head_input(self, task: str) -> int:
        """Input width of the first head layer of ``task``."""
        head = self.head_of(task)
        vectors = len(head.features) if head.joins_first else 1
        joined = self.lanes is not None and self.lanes.fusion == "concatenation"
        return vectors * self.encoder.hidden + (sum(self.lane_widths(task)) if joined else 0)

    def output_input(self, task: str) -> int:
        """Input width of the output layer of ``task``."""
        head = self.head_of(task)
        last = self.head.width if self.head.depth else self.head_input(task)
        return last * len(head.features) if head.late else last

    def readers(self, task: str) -> tuple[str, ...]:
        """The tasks whose predictions go through the head of ``task``, itself first."""
        if self.lanes is None:
            return (task,)
        others = [name for name in self.plan.tasks if task in self.lanes.ancestors(name)]
        return (task, *others)

    def _check_pooling(self) -> None:
        for head in self.heads:
            if head.pooling == "pooler" and not self.encoder.pooler:
                found = f"pooler, which {self.encoder.family} lacks"
                raise UserError("head.pooling", found, "cls, mean")

    def _check_lanes(self) -> None:
        if self.lanes is None:
            return
        if len({(head.layer, head.pooling) for head in self.heads}) > 1:
            allowed = "one layer for all heads, since upstream heads run on their reader's vector"
            raise UserError("task.<name>.layer", f"{self.read} with lanes", allowed)
        for head in self.heads:
            for name in self.lanes.upstream[head.name]:
                if self.head_of(name).pair and not head.pair:
                    found = f"{name}, a head of two texts, for {head.name}, which has one text"
                    allowed = "heads of one text, or pairing=joined"
                    raise UserError(f"sharing.lanes.upstream.{head.name}", found, allowed)

    def _check_ties(self) -> None:
        for stage in self.stages():
            if stage.ownership.tied and 0 < len(stage.owners) < len(self.plan.tasks):
                found = f"T at {stage.name}, which not every task reads ({self.read})"
                raise UserError("sharing.plan", found, "tied stages that every task reads")

    def _check_shared_widths(self) -> None:
        """Tasks that share or tie the first head layer need equal input widths there."""
        if not self.head.depth:
            return
        widths = {head.name: self.head_input(head.name) for head in self.heads}
        (stage,) = [s for s in self.stages() if s.name == "head.0"]
        for owners in (self.plan.tasks,) if stage.ownership.tied else stage.owners:
            group = {task: widths[task] for task in owners}
            if len(set(group.values())) > 1:
                found = f"{stage.ownership} at {stage.name} over input widths {group}"
                remedy = "pairing.place=output joins pairs after it"
                if self.lanes is not None and self.lanes.fusion == "concatenation":
                    remedy += "; sharing.lanes.fusion=attention keeps each width"
                allowed = f"equal widths for tasks that share a head layer ({remedy})"
                raise UserError("sharing.plan", found, allowed)
