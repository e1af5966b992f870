"""Names of data sets of the Hugging Face hub, and of folders written by ``save_to_disk``."""

import re
from dataclasses import dataclass

from mtl_sharing.errors import UserError

HUB = "hub://"
FORMS = f"{HUB}owner/name:split, {HUB}owner/name/part:split or {HUB}./folder:split"
"""The allowed forms of a name."""


@dataclass(frozen=True)
class HubName:
    """A split of a data set, written ``hub://SOURCE:split``.

    Attributes:
        source: ``owner/name`` or ``owner/name/part`` of the hub, or a folder that
            ``save_to_disk`` wrote. A folder of this name below ``data_dir`` comes first; a source
            that starts with ``/``, ``~`` or ``.`` is always a folder.
    """

    source: str
    split: str

    def __str__(self) -> str:
        return f"{HUB}{self.source}:{self.split}"

    @property
    def is_folder(self) -> bool:
        """Whether the source can only be a folder."""
        return self.source.startswith(("/", "~", "."))


def is_hub_name(name: str) -> bool:
    """Whether a file name in a config names a data set."""
    return name.startswith(HUB)


def parse_hub_name(where: str, name: str) -> HubName:
    """Parses ``hub://SOURCE:split``; raises UserError naming the config field for another form."""
    source, _, split = name.removeprefix(HUB).rpartition(":")
    parsed, parts = HubName(source, split), source.split("/")
    in_hub = len(parts) in (2, 3) and all(parts)
    if not re.fullmatch(r"\w+(\.\w+)*", split) or not (in_hub or parsed.is_folder):
        raise UserError(where, name, FORMS)
    return parsed
