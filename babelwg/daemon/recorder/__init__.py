"""The flight recorder: what happened to a node, and why, for as long as memory and disk are allowed to hold it."""

from babelwg.daemon.recorder.about import About
from babelwg.daemon.recorder.narrator import Narrator
from babelwg.daemon.recorder.recorder import Note, Recorder, silent

__all__ = ["About", "Narrator", "Note", "Recorder", "silent"]
