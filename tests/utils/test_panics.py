"""A Rust panic becomes an ordinary error, and stderr has no report of it."""

import os
import sys
from threading import Barrier, Thread

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from mtl_sharing.utils.panics import panics_as_errors


def panic():
    """Encodes by a pattern that gives up on long runs of one letter."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(a+)+$"), "isolated")
    tokenizer.encode("a" * 50 + "!")


def test_a_panic_is_no_ordinary_error():
    with pytest.raises(BaseException, match="retry-limit") as caught:
        panic()
    assert not isinstance(caught.value, Exception)


def test_a_panic_becomes_an_error_in_silence(capfd):
    with pytest.raises(RuntimeError, match="retry-limit"), panics_as_errors():
        panic()
    assert capfd.readouterr().err == ""
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_other_errors_and_output_pass(error, capfd):
    def fail():
        os.write(2, b"written by someone\n")
        raise error("mine")

    with pytest.raises(error, match="mine"), panics_as_errors():
        fail()
    with panics_as_errors():
        os.write(2, b"and again\n")
    assert capfd.readouterr().err == "written by someone\nand again\n"


def test_threads_do_not_lose_stderr(capfd):
    together = Barrier(4, timeout=10)

    def work():
        for _ in range(20):
            together.wait()
            with pytest.raises(RuntimeError), panics_as_errors():
                raise type("PanicException", (BaseException,), {})("x")

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("still here", file=sys.stderr, flush=True)
    os.write(2, b"and here\n")
    assert capfd.readouterr().err == "still here\nand here\n"


def test_without_stderr_nothing_is_held():
    stderr = os.dup(2)
    os.close(2)
    try:
        for _ in range(2):
            with pytest.raises(RuntimeError), panics_as_errors():
                raise type("PanicException", (BaseException,), {})("x")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
