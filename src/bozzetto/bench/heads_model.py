"""The morphable head: a fixed mesh whose vertices are mean + identity modes + expression shapes.

Reads the arrays of ICT-FaceKit (light model; Li et al. 2020, "Learning Formation of Physically-Based Face Attributes";
MIT licence) from one .npz: mean, triangles, triangle_material, material_names, identity, expression,
expression_names, landmarks68. Centimetres; x to the subject's left, y up, z toward the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from bozzetto.bench.npz import read_npz
from bozzetto.errors import InputError

FIELDS = (
    "mean",
    "triangles",
    "triangle_material",
    "material_names",
    "identity",
    "expression",
    "expression_names",
    "landmarks68",
)


@dataclass(frozen=True)
class HeadModel:
    """A linear head model; V vertices, T triangles, cm."""

    mean_cm: Float[np.ndarray, "v 3"]
    identity_cm: Float[np.ndarray, "modes v3"]  # one standard deviation each, flattened xyz
    expression_cm: Float[np.ndarray, "shapes v3"]  # at weight 1, flattened xyz
    expression_names: tuple[str, ...]
    triangles: Int[np.ndarray, "t 3"]
    material: UInt8[np.ndarray, " t"]
    material_names: tuple[str, ...]
    landmarks: Int[np.ndarray, " 68"]  # the usual 68 face points, as vertex numbers
    weld: Int[np.ndarray, " v"]  # vertices at one place share a number, so that normals are smooth across seams

    def material_triangles(self, *names: str) -> Int[np.ndarray, "n 3"]:
        """Triangles whose material is one of `names`."""
        wanted = [k for k, name in enumerate(self.material_names) if name in names]
        return np.ascontiguousarray(self.triangles[np.isin(self.material, wanted)])

    def material_vertices(self, *names: str) -> np.ndarray:
        """Boolean [V]: vertices that belong to a triangle of one of the materials `names`."""
        inside = np.zeros(len(self.mean_cm), dtype=bool)
        inside[self.material_triangles(*names).ravel()] = True
        return inside

    def shape_cm(
        self, identity: Float[np.ndarray, " modes"], expression: Float[np.ndarray, " shapes"]
    ) -> Float[np.ndarray, "v 3"]:
        """Vertices of one person with one expression, float32 cm."""
        used = np.flatnonzero(expression)
        flat = self.mean_cm.ravel() + identity.astype(np.float32) @ self.identity_cm
        if len(used):
            flat = flat + expression[used].astype(np.float32) @ self.expression_cm[used]
        return flat.reshape(-1, 3)


def load_head_model(path: Path) -> HeadModel:
    """Read the model file.

    Raises:
        InputError: no such file, or not a head model.
    """
    arrays = read_npz(path, "give the head model, the .npz of ICT-FaceKit")
    missing = [name for name in FIELDS if name not in arrays]
    if missing:
        raise InputError(f"{path} is not a head model (it lacks {', '.join(missing)}); give the .npz of ICT-FaceKit.")
    mean = arrays["mean"].astype(np.float32)
    return HeadModel(
        mean_cm=mean,
        identity_cm=arrays["identity"].astype(np.float32).reshape(len(arrays["identity"]), -1),
        expression_cm=arrays["expression"].astype(np.float32).reshape(len(arrays["expression"]), -1),
        expression_names=tuple(str(name) for name in arrays["expression_names"]),
        triangles=np.ascontiguousarray(arrays["triangles"].astype(np.int32)),
        material=arrays["triangle_material"].astype(np.uint8),
        material_names=tuple(str(name) for name in arrays["material_names"]),
        landmarks=arrays["landmarks68"].astype(np.int32),
        weld=weld_vertices(mean),
    )


def weld_vertices(points_cm: Float[np.ndarray, "v 3"], tolerance_cm: float = 1e-4) -> Int[np.ndarray, " v"]:
    """Number of the first vertex that lies at the same place, for every vertex."""
    cells = np.round(points_cm / tolerance_cm).astype(np.int64)
    _, first, group = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    return first[group.reshape(-1)].astype(np.int32)
