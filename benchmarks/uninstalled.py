"""Makes the package importable from a checkout that is not installed."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
_PATH = "PYTHONPATH"


@contextmanager
def importable_checkout() -> Iterator[None]:
    """Within the block, this process and those it starts import the checkout's own files.

    An installation maps ``mtl_sharing.conf`` and ``mtl_sharing.sweeps`` to folders beside ``src``
    (setup.cfg). Here a temporary folder of links does. It precedes an installed package.
    """
    with TemporaryDirectory(prefix="mtl-sharing-") as name:
        _link_package(Path(name) / "mtl_sharing")
        before, path = os.environ.get(_PATH), list(sys.path)
        added = [name, str(ROOT)]
        sys.path[:0] = added
        os.environ[_PATH] = os.pathsep.join([*added, *([before] if before else [])])
        try:
            yield
        finally:
            sys.path[:] = path
            os.environ.pop(_PATH)
            if before is not None:
                os.environ[_PATH] = before


def _link_package(package: Path) -> None:
    package.mkdir()
    parts = [*(ROOT / "src" / "mtl_sharing").iterdir(), ROOT / "conf", ROOT / "sweeps"]
    for part in parts:
        if part.name != "__pycache__":
            (package / part.name).symlink_to(part)
