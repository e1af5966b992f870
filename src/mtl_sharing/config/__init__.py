"""The configuration: every key with its type and default, and what each key decides."""

from mtl_sharing.config.schema import Config, register, to_config

__all__ = ["Config", "register", "to_config"]
