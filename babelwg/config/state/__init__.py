"""What the daemon remembers over a restart: its identity, and the source table as a journal."""

from babelwg.config.state.identity import LoadedState, State
from babelwg.config.state.journal import LoadedSources, SourceJournal, SourceRow

__all__ = ["LoadedSources", "LoadedState", "SourceJournal", "SourceRow", "State"]
