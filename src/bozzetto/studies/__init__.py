"""The papers' experiments, run again with numbers: `bozzetto study NAME`."""
