"""``mtl-train --help-key KEY``: what a config key is."""

from mtl_sharing.utils.summary import show_lines
from mtl_sharing.utils.terminal import show_json, wants_json


def print_keys(key: str) -> None:
    """Prints type, default, meaning and choices of a key, without one the keys at the top."""
    from dataclasses import asdict

    from mtl_sharing.config.reference import reference_of, references

    if not key:
        show_lines([(n, one.meaning) for n, one in references().items() if "." not in n])
        return
    one = reference_of(key)
    lines = {
        "key": one.key,
        "type": one.kind,
        "default": one.default,
        "meaning": one.meaning.replace("`", ""),
        "allowed": ", ".join(one.choices),
        "options": f"{one.key}=" + ", ".join(one.options) if one.options else "",
        "keys": ", ".join(one.below),
    }
    show_lines([(label, text) for label, text in lines.items() if text])
    if wants_json():
        show_json(asdict(one))
