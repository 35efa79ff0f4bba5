"""Pure functions of the pinhole camera, the height field and the renderer."""
