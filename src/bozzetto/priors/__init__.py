"""Priors: the shapes that step 0 fits the depth network to."""
