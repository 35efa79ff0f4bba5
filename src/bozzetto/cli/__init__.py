"""The command line: one small file a command. Every flag is a field of a typed record."""
