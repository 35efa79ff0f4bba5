"""Segmenters: photo -> soft mask of the object."""
