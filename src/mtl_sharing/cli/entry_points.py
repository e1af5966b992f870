"""The console scripts. A signal while a command's modules load ends it silently, as any program."""

import signal
from importlib import import_module


def train() -> None:
    """``mtl-train``."""
    _start("train")


def predict() -> None:
    """``mtl-predict``."""
    _start("predict")


def export() -> None:
    """``mtl-export``."""
    _start("export")


def report() -> None:
    """``mtl-report``."""
    _start("report")


def init() -> None:
    """``mtl-init``."""
    _start("init")


def _start(command: str) -> None:
    # Python's own handler would show a traceback. Not where the caller ignores SIGINT.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    import_module(f"mtl_sharing.cli.{command}").main()
