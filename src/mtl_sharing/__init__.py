"""mtl-sharing: train and compare parameter sharing regimes for multi-task text encoders.

The names in ``__all__`` are public. Every other module and name is private by convention and may
change without notice. The public names are loaded when they are first used, so that importing the
package loads neither torch nor Hydra.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mtl_sharing.utils.spinning import limit_spinning

if TYPE_CHECKING:
    from mtl_sharing.api.export import export_run
    from mtl_sharing.api.report import write_report
    from mtl_sharing.api.train import train
    from mtl_sharing.config import Config
    from mtl_sharing.errors import UserError
    from mtl_sharing.plan.plan import SharingPlan
    from mtl_sharing.predict.loading import load_run

__version__ = "0.1.0"
VERSION = f"mtl-sharing {__version__}"
__all__ = [
    "Config", "SharingPlan", "UserError", "__version__", "export_run", "load_run", "train",
    "write_report",
]  # fmt: skip

_MODULES = {
    "Config": "mtl_sharing.config",
    "SharingPlan": "mtl_sharing.plan.plan",
    "UserError": "mtl_sharing.errors",
    "export_run": "mtl_sharing.api.export",
    "load_run": "mtl_sharing.predict.loading",
    "train": "mtl_sharing.api.train",
    "write_report": "mtl_sharing.api.report",
}

limit_spinning()  # before anything loads torch


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'mtl_sharing' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
