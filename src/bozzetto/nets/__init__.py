"""The five networks V, L, D, A, E (Pan, tables 5 to 8) and the meaning of their outputs."""
