"""How the process is followed by another: not by one that cannot go on, and without leaving secrets behind."""

import json
import os
import sys

import pytest

from babelwg.dataplane import handover
from babelwg.dataplane.__main__ import main
from babelwg.dataplane.handover import FORMAT, Successor, take_over
from babelwg.dataplane.loop import Loop


def run_until(loop, condition):
    for _ in range(600):
        if condition():
            return
        loop.turn(0.1)
    raise AssertionError("the condition is not met in time")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (["/bin/false"], "the successor cannot go on from here (status 1); this process goes on"),
        (["/nonexistent"], "the successor cannot be started"),
    ],
)
def test_a_program_that_cannot_go_on_is_not_executed(monkeypatch, caplog, program, words):
    monkeypatch.setattr(handover, "_program", lambda: program)
    loop, described = Loop(), []
    successor = Successor(loop, lambda: described.append(1) or {"descriptors": []})
    successor.begin()
    run_until(loop, lambda: words in caplog.text)
    assert described == []
    # It can be tried again.
    caplog.clear()
    successor.begin()
    run_until(loop, lambda: words in caplog.text)
    loop.close()


def test_a_program_that_vanished_after_its_trial_leaves_all_as_it_was(monkeypatch, caplog):
    programs = [["/bin/true"], ["/nonexistent"]]
    monkeypatch.setattr(handover, "_program", lambda: programs.pop(0))
    loop = Loop()
    reading, writing = os.pipe()
    Successor(loop, lambda: {"descriptors": [reading]}).begin()
    run_until(loop, lambda: "No such file" in caplog.text)
    assert not os.get_inheritable(reading)
    for descriptor in (reading, writing):
        os.close(descriptor)
    loop.close()


def test_a_program_says_which_format_it_understands(monkeypatch):
    for number, code in ((FORMAT, 0), (FORMAT + 1, 1)):
        monkeypatch.setattr(
            sys, "argv", ["dataplane", "--control", "/nonexistent/c", "--can-resume", str(number)]
        )
        assert main() == code


def test_what_was_left_is_erased_when_it_is_read():
    descriptor = os.memfd_create("test", 0)
    again = os.dup(descriptor)
    os.write(descriptor, json.dumps({"format": FORMAT, "descriptors": [], "secret": "k"}).encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    assert take_over(descriptor)["secret"] == "k"
    assert os.fstat(again).st_size == 0
    os.close(again)


def test_the_words_of_an_earlier_handover_are_left_out(monkeypatch):
    monkeypatch.setattr(
        sys, "orig_argv", ["python3", "-m", "babelwg.dataplane", "--resume", "7", "--control", "c"]
    )
    assert handover._program() == [sys.executable, "-m", "babelwg.dataplane", "--control", "c"]
