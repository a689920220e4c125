"""The version of babelwg, as the package and every answer of the command line give it."""

__version__ = "0.1.0"
