"""Runs to export: settings of small encoders of every family, and texts for their tasks."""

from mtl_sharing.data.examples.bundled import bundled_examples
from support import QUICK

SMALL = (*QUICK, "encoder.layers=4", "suite.max_length=24", "trainer.device=cpu",
         "trainer.precision=fp32", "split=2")  # fmt: skip
ROBERTA = ("encoder.family=roberta", "encoder.position_offset=1", "encoder.token_types=1")
ELECTRA = ("encoder.family=electra", "encoder.embedding=7", "encoder.pooler=false")
DISTILBERT = ("encoder.family=distilbert", "encoder.token_types=0", "encoder.pooler=false")


def texts_of(task: str) -> tuple[list[str], list[str] | None]:
    """Texts of a task, some cut at the limit, some with words that no vocabulary has."""
    rows = bundled_examples(task, "dev", 0, 0.8)[:12]
    firsts = [row.text for row in rows] + ["Ünknown wörds \u4e2d [MASK] ?!", "a long text " * 30]
    if task == "sst":
        return firsts, None
    return firsts, [str(row.text_pair) for row in rows] + ["other long text " * 30, "short"]
