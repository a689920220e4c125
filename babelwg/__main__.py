"""`python -m babelwg` is the same as `babelwg`."""

from babelwg.cli import main

if __name__ == "__main__":
    main()
