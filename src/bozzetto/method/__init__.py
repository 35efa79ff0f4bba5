"""The method: step 0 fits the prior, steps 1 to 3 are repeated. Opens no file."""
