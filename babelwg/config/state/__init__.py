"""What the daemon remembers over a restart: its identity, its Hellos, and two tables as journals."""

from babelwg.config.state.hellos import HelloFile, LoadedHellos
from babelwg.config.state.identity import LoadedState, State
from babelwg.config.state.journal import Journal, Loaded, SourceJournal, SourceRow
from babelwg.config.state.routes import RouteJournal

__all__ = [
    "HelloFile",
    "Journal",
    "Loaded",
    "LoadedHellos",
    "LoadedState",
    "RouteJournal",
    "SourceJournal",
    "SourceRow",
    "State",
]
