"""`python -m bozzetto` is the command `bozzetto`."""

from bozzetto.cli.main import main

if __name__ == "__main__":
    main()
