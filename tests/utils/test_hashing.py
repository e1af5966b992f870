"""Facts of a file: what its digest is, and what else a message shows of it."""

import hashlib

import pytest

from mtl_sharing.utils.hashing import digest_file, file_facts


@pytest.mark.parametrize(("content", "lines"), [(b"a\nb\n" * 3, 6), (b"", 0), (b"a\n\0" * 3, None)])
def test_facts_of_a_file(tmp_path, content, lines):
    """Lines of a text alone."""
    path = tmp_path / "file"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    counted = {} if lines is None else {"lines": lines}
    assert file_facts(path) == {"bytes": len(content), "sha256": digest} | counted
    assert digest_file(path) == digest
