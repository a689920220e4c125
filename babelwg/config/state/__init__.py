"""What the daemon remembers over a restart: its identity, its Hellos, and the source table as a journal."""

from babelwg.config.state.hellos import HelloFile, SentHello
from babelwg.config.state.identity import LoadedState, State
from babelwg.config.state.journal import LoadedSources, SourceJournal, SourceRow

__all__ = ["HelloFile", "LoadedSources", "LoadedState", "SentHello", "SourceJournal", "SourceRow", "State"]
