"""Training a StyleGAN2 of one's own: `run.train` is the way in."""
