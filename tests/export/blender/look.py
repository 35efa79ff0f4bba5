"""What Blender makes of mesh files, as one line of JSON behind whatever Blender itself says. Run by its Python.

Each file goes into an empty scene through the importer's own settings. A PLY goes in a second time, told which way is
up, under its path and " turned". All positions and directions are Blender's: x right, y into the picture, z up.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import bpy  # first: the other two lie inside it

# isort: split
import bmesh
import numpy as np
from mathutils import Vector

IMPORTERS = {
    ".glb": bpy.ops.import_scene.gltf,
    ".obj": bpy.ops.wm.obj_import,
    ".ply": bpy.ops.wm.ply_import,
    ".stl": bpy.ops.wm.stl_import,
    ".usdz": bpy.ops.wm.usd_import,
}
TURNED = {"forward_axis": "NEGATIVE_Z", "up_axis": "Y"}
# The way the light goes: from the viewer's left, from the right.
SUNS = {"left": (1, 1, 0), "right": (-1, 1, 0)}


def column(values: Any, name: str, width: int, kind: type = np.float32) -> np.ndarray:
    """One property of all elements of a collection, [n, width]."""
    found = np.zeros(len(values) * width, kind)
    values.foreach_get(name, found)
    return found.reshape(-1, width)


def base_colours(mesh: Any) -> list[dict]:
    """For each material: what feeds the base colour of the surface that is put out, and how matt that is."""
    found = []
    for material in mesh.materials:
        links = material.node_tree.links
        surfaces = [link.from_node for link in links if link.to_node.bl_idname == "ShaderNodeOutputMaterial"]
        for surface in surfaces:
            sources = [link.from_node for link in links if link.to_socket == surface.inputs["Base Color"]]
            facts = {
                "surface": surface.bl_idname,
                "sources": [source.bl_idname for source in sources],
                "metallic": surface.inputs["Metallic"].default_value,
                "roughness": surface.inputs["Roughness"].default_value,
            }
            if facts["sources"] == ["ShaderNodeTexImage"]:
                image = sources[0].image
                width, height = image.size
                pixels = np.array(image.pixels[:]).reshape(height, width, image.channels)[::-1, :, :3]
                rgb = np.rint(pixels * 255).astype(np.uint8)
                facts |= {
                    "size": [width, height],
                    "sha256": hashlib.sha256(rgb.tobytes()).hexdigest(),
                    "colour_space": image.colorspace_settings.name,
                    "extension": sources[0].extension,
                }
            found.append(facts)
    return found


def closed(mesh: Any) -> dict:
    """Blender's own word on whether the surface is that of a solid, once vertices in one place are one."""
    work = bmesh.new()
    work.from_mesh(mesh)
    bmesh.ops.remove_doubles(work, verts=work.verts, dist=1e-7)
    facts = {
        "open_edges": sum(not edge.is_manifold for edge in work.edges),
        "turned_edges": sum(not edge.is_contiguous for edge in work.edges),
        "open_vertices": sum(not vertex.is_manifold for vertex in work.verts),
        "volume": work.calc_volume(signed=True),
    }
    work.free()
    return facts


def facts_of(path: Path, **settings: str) -> dict:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    result = IMPORTERS[path.suffix](filepath=str(path), **settings)
    bpy.context.view_layer.update()
    (body,) = (thing for thing in bpy.data.objects if thing.type == "MESH")
    mesh, turn, shift = body.data, np.array(body.matrix_world.to_3x3()), np.array(body.matrix_world.translation)
    vertex = column(mesh.loops, "vertex_index", 1, np.int32)[:, 0]
    facts = {
        "result": sorted(result),
        "name": body.name,
        "corners": (column(mesh.vertices, "co", 3) @ turn.T + shift)[vertex].tolist(),
        "normals": (column(mesh.corner_normals, "vector", 3) @ turn.T).tolist(),
        "own_normals": mesh.has_custom_normals,
        "flat_faces": sum(not face.use_smooth for face in mesh.polygons),
        "uv": [column(layer.uv, "vector", 2).tolist() for layer in mesh.uv_layers],
        "colours": [column(layer.data, "color_srgb", 4)[vertex].tolist() for layer in mesh.color_attributes],
        "materials": base_colours(mesh),
    }
    return facts | closed(mesh)


def draw(path: Path, eye: float, angle: float, px: int) -> None:
    """What is in the scene from the front, `eye` away: without a lamp under an even white sky, then by each sun."""
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.device, scene.cycles.samples = "CYCLES", "CPU", 64
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.resolution_x = scene.render.resolution_y = px
    scene.cycles.filter_width = 0.01  # what lies on a pixel's centre, not the pixels around it
    scene.view_settings.view_transform = "Standard"
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location, camera.data.angle, camera.data.clip_end = (0, -eye, 0), angle, 10 * eye
    camera.rotation_euler = Vector((0, 1, 0)).to_track_quat("-Z", "Z").to_euler()
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy = np.pi  # a white surface that faces it is white
    world = scene.world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    scene.collection.objects.link(camera)
    scene.collection.objects.link(sun)
    scene.camera = camera
    for name in ("even", *SUNS):
        sky = 1.0 if name == "even" else 0.0
        world.node_tree.nodes["Background"].inputs["Color"].default_value = (sky, sky, sky, 1)
        sun.hide_render = name == "even"
        if name in SUNS:
            sun.rotation_euler = Vector(SUNS[name]).to_track_quat("-Z", "Z").to_euler()
        scene.render.filepath = f"{path}-{name}.png"
        bpy.ops.render.render(write_still=True)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--eye", type=float, required=True, help="how far before the origin the camera stands")
    words.add_argument("--angle", type=float, required=True, help="its field of view in radians")
    words.add_argument("--px", type=int, required=True, help="side of FILE-even.png, -left.png, -right.png")
    words.add_argument("--draw", type=Path, action="append", default=[], help="one of the files that is drawn")
    words.add_argument("files", type=Path, nargs="+")
    given = words.parse_args()
    found: dict[str, Any] = {}
    for path in given.files:
        if path.suffix == ".ply":
            found[f"{path} turned"] = facts_of(path, **TURNED)
        found[str(path)] = facts_of(path)
        if path in given.draw:
            draw(path, given.eye, given.angle, given.px)
    print(f"\n{json.dumps({'version': bpy.app.version_string, 'files': found})}")
    sys.stdout.flush()
    os._exit(0)  # as a module Blender 4.2 crashes while Python ends, once it has read any GLB


main()
