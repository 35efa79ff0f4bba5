"""One photo in, a textured 3D object out that can be turned and relit, taught by a pre-trained 2D GAN alone."""

__version__ = "0.1.0"
