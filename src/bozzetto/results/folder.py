"""The result folder: one writer, one reader. Reading runs no code and never leaves the folder.

`reconstruction.json` (camera, depth range, provenance, names and checksums) and `scene.safetensors` (the tensors) are
the result, with `texture.png` where it has a texture finer than its tensors; every picture, mesh and film beside them
can be drawn again from these by `export_folder`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from bozzetto.disk import DAMAGED
from bozzetto.errors import OutputError
from bozzetto.export.files import write_bytes, write_text
from bozzetto.export.formats import DEFAULT_FORMATS, FILE_NAMES, check_formats, depth_scales, export_all
from bozzetto.export.options import ExportOptions
from bozzetto.export.sheet import write_sheet
from bozzetto.results.packed import packed
from bozzetto.results.provenance import Provenance, plain
from bozzetto.results.reconstruction import SHAPES, Reconstruction
from bozzetto.results.replace import new_folder
from bozzetto.results.texture_file import texture_bytes, texture_of
from bozzetto.types import Camera, DepthRange, ThroughGan

SCHEMA_VERSION = 1
KIND = "bozzetto-reconstruction"
RECORD, SCENE, NETWORKS, LOG = "reconstruction.json", "scene.safetensors", "networks.safetensors", "log.jsonl"
THROUGH_GAN = "through_gan.safetensors"
TEXTURE = "texture.png"
PREVIEW, PREVIEW_PICTURE = "preview.safetensors", "preview.png"
OUR_NAMES = FILE_NAMES | {RECORD, SCENE, NETWORKS, THROUGH_GAN, TEXTURE, LOG, PREVIEW, PREVIEW_PICTURE}
_MAX_RECORD_BYTES = 16 * 2**20
_MAX_DEPTH = 50  # of a record; ours have about 6


# ---------------------------------------------------------------- writing


def write(
    reconstruction: Reconstruction,
    folder: Path,
    networks: Mapping[str, Tensor] | None = None,
    log: Iterable[Mapping[str, Any]] | Path | None = None,
    formats: Iterable[str] = DEFAULT_FORMATS,
    preview: Reconstruction | None = None,
) -> Path:
    """Write a result folder, whole or not at all; returns it.

    It is built under a hidden name beside `folder` and renamed in one go. A result folder of that name is replaced,
    with foreign files in it carried over; any other folder that is not empty is refused.

    Args:
        reconstruction: what to write.
        folder: where; missing parents are made.
        networks: weights of the fitted networks by name, to turn other photos or to go on later.
        log: records of the run, one JSON object a line, or a file of such lines to copy.
        formats: what to draw beside the record; see `export.formats.FORMATS`.
        preview: what the general model saw at once, before the fit; kept beside the result, with a sheet of its own.

    Raises:
        InputError: a format is not known.
        OutputError: the folder may not be replaced, or the system refused to write (no space, no permission).
    """
    wanted = check_formats(formats)
    lines = None if log is None else _log_lines(log)
    with new_folder(folder, is_result_folder, OUR_NAMES) as fresh:
        scene = packed(reconstruction.tensors())
        files = {"scene": {"file": SCENE, "sha256": hashlib.sha256(scene).hexdigest()}}
        write_bytes(fresh / SCENE, scene)
        if networks is not None:
            weights = packed(networks)
            files["networks"] = {"file": NETWORKS, "sha256": hashlib.sha256(weights).hexdigest()}
            write_bytes(fresh / NETWORKS, weights)
        if reconstruction.texture is not None:
            texture = texture_bytes(reconstruction.texture)
            files["texture"] = {"file": TEXTURE, "sha256": hashlib.sha256(texture).hexdigest()}
            write_bytes(fresh / TEXTURE, texture)
        if reconstruction.through_gan is not None:
            drawn = packed(vars(reconstruction.through_gan))
            files["through_gan"] = {"file": THROUGH_GAN, "sha256": hashlib.sha256(drawn).hexdigest()}
            write_bytes(fresh / THROUGH_GAN, drawn)
        if preview is not None:
            before = packed(preview.tensors())
            files["preview"] = {"file": PREVIEW, "sha256": hashlib.sha256(before).hexdigest()}
            write_bytes(fresh / PREVIEW, before)
            if "sheet" in wanted:
                write_sheet(preview, fresh / PREVIEW_PICTURE, reconstruction.title, "preview")
        if lines is not None:
            files["log"] = {"file": LOG, "sha256": hashlib.sha256(lines).hexdigest()}
            write_bytes(fresh / LOG, lines)
        export_all(reconstruction, fresh, wanted)
        _write_record(fresh, _record(reconstruction, files))
    return folder


def keep_through_gan(folder: Path, pictures: ThroughGan) -> None:
    """Put pictures through the GAN into a finished result folder, in place of any that are there.

    The record names them last, so that an interrupt leaves a whole result, at worst one without such pictures.

    Raises:
        OutputError: as `read` and `write` do.
    """
    read(folder)
    record = _record_of(folder)
    if record["files"].pop("through_gan", None) is not None:
        _write_record(folder, record)
    content = packed(vars(pictures))
    write_bytes(folder / THROUGH_GAN, content)
    record["files"]["through_gan"] = {"file": THROUGH_GAN, "sha256": hashlib.sha256(content).hexdigest()}
    _write_record(folder, record)


def _write_record(folder: Path, record: Mapping[str, Any]) -> None:
    write_text(folder / RECORD, json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def _record(reconstruction: Reconstruction, files: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    camera, limits = reconstruction.camera, reconstruction.depth_range
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "files": files,
        "camera": {"size": camera.size, "fov_deg": camera.fov_deg},
        "depth_range": {"near": limits.near, "far": limits.far},
        "depth16": {name: scale.to_json() for name, scale in depth_scales(reconstruction).items()},
        "provenance": reconstruction.provenance.to_json(),
    }


def _log_lines(log: Iterable[Mapping[str, Any]] | Path) -> bytes:
    if isinstance(log, Path):
        try:
            return log.read_bytes()
        except OSError as error:
            raise OutputError(f"Cannot read the log {log}: {error.strerror or error}.") from error
    rows = (json.dumps(plain(row), allow_nan=False, ensure_ascii=False) for row in log)
    return "".join(row + "\n" for row in rows).encode("utf-8")


# ---------------------------------------------------------------- reading


def is_result_folder(folder: Path) -> bool:
    """Whether the folder holds a record of ours, of any schema."""
    try:
        return _stored(folder).get("kind") == KIND
    except OutputError:
        return False


def read(folder: Path) -> Reconstruction:
    """Read what `write` wrote, bit for bit.

    Raises:
        OutputError: there is no result in the folder, it is of a newer schema, damaged, or leads outside the folder.
    """
    record = _record_of(folder)
    tensors = _unpack(_named(folder, record, "scene"))
    if set(tensors) != set(SHAPES):
        odd = ", ".join(sorted(set(tensors) ^ set(SHAPES)))
        raise OutputError(f"{folder} is damaged: {SCENE} lacks or has too many of {odd}; write the result again.")
    try:
        camera, limits = _camera(record["camera"]), _limits(record["depth_range"])
        provenance = Provenance.from_json(record["provenance"])
        pictures = (
            ThroughGan(**_unpack(_named(folder, record, "through_gan"))) if "through_gan" in record["files"] else None
        )
        texture = texture_of(_named(folder, record, "texture")) if "texture" in record["files"] else None
        return Reconstruction(
            **tensors,
            camera=camera,
            depth_range=limits,
            provenance=provenance,
            texture=texture,
            through_gan=pictures,
        )
    except DAMAGED as error:
        raise OutputError(f"{folder} is damaged ({_one_line(error)}); write the result again.") from error


def _camera(stored: Mapping[str, Any]) -> Camera:
    camera = Camera(int(stored["size"]), float(stored["fov_deg"]))
    if camera.size < 1 or not 0 < camera.fov_deg < 180:
        raise ValueError(f"no camera has {camera.size} px and {camera.fov_deg} degrees")
    return camera


def _limits(stored: Mapping[str, Any]) -> DepthRange:
    limits = DepthRange(float(stored["near"]), float(stored["far"]))
    if not 0 < limits.near < limits.far < math.inf:
        raise ValueError(f"no depth is between {limits.near} and {limits.far}")
    return limits


def read_networks(folder: Path) -> dict[str, Tensor] | None:
    """The stored network weights by name, or None where none were stored. Raises OutputError as `read` does."""
    record = _record_of(folder)
    return _unpack(_named(folder, record, "networks")) if "networks" in record["files"] else None


def read_preview(folder: Path) -> Reconstruction | None:
    """What the general model saw before the fit, or None where there was none. Raises OutputError as `read` does."""
    whole, record = read(folder), _record_of(folder)
    if "preview" not in record["files"]:
        return None
    try:
        tensors = _unpack(_named(folder, record, "preview"))
        rest = {"camera": whole.camera, "depth_range": whole.depth_range, "provenance": whole.provenance}
        return Reconstruction(**tensors, **rest)  # type: ignore[arg-type]
    except DAMAGED as error:
        raise OutputError(f"{folder} is damaged ({_one_line(error)}); write the result again.") from error


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The run's log records, empty where none were stored. Raises OutputError as `read` does."""
    record = _record_of(folder)
    if "log" not in record["files"]:
        return []
    try:
        return [json.loads(line) for line in _named(folder, record, "log").decode("utf-8").splitlines() if line.strip()]
    except DAMAGED as error:
        raise OutputError(
            f"{folder} is damaged: {LOG} is not one JSON object a line; write the result again."
        ) from error


def export_folder(
    source: Path | str | Reconstruction,
    out: Path | str,
    formats: Iterable[str] = DEFAULT_FORMATS,
    options: ExportOptions = ExportOptions(),  # noqa: B008  frozen
) -> list[Path]:
    """Draw a stored result, or a record at hand, again into the folder `out`; returns the files written.

    `out` may be the result folder itself. Raises what `export_all` does, and OutputError as `read` does.
    """
    wanted = check_formats(formats)
    scene = source if isinstance(source, Reconstruction) else read(Path(source))
    return export_all(scene, Path(out), wanted, options)


def _inside(folder: Path, name: str) -> Path:
    """The path of a plain file of that bare name that lies in the folder itself."""
    bare = (
        bool(name)
        and name not in (".", "..")
        and not any(c in name for c in "/\\:\0")
        and os.path.basename(name) == name
    )
    if not bare:
        raise OutputError(
            f"{folder} is damaged: '{name}' is no plain file name; get the result from a source you trust."
        )
    path = folder / name
    try:
        leads_out = path.is_symlink() or path.resolve().parent != folder.resolve()
    except (OSError, RuntimeError) as error:  # links in a circle
        raise OutputError(f"{folder} is not a whole result folder: it is a link that leads nowhere.") from error
    if leads_out:
        raise OutputError(f"{path} is a link that may lead outside the folder; put the file itself there.")
    return path


def _bytes(path: Path, limit: int | None = None) -> bytes:
    try:
        if not path.is_file():
            raise FileNotFoundError
        if limit is not None and path.stat().st_size > limit:
            raise OutputError(f"{path} is too large for a record of ours; name a result folder.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise OutputError(f"{path.parent} is not a whole result folder: {path.name} is missing.") from error
    except OSError as error:
        raise OutputError(f"Cannot read {path}: {error.strerror or error}.") from error


def _stored(folder: Path) -> dict[str, Any]:
    content = _bytes(_inside(folder, RECORD), _MAX_RECORD_BYTES)
    try:
        record = json.loads(content.decode("utf-8"))
    except DAMAGED as error:
        raise OutputError(f"{folder / RECORD} is cut off or no JSON; write the result again.") from error
    if not isinstance(record, dict) or _is_deeper(record, _MAX_DEPTH):
        raise OutputError(f"{folder / RECORD} is not a record of ours; name a result folder.")
    return record


def _is_deeper(value: Any, limit: int) -> bool:
    """Whether a JSON value is nested more than so many levels. What reads or shows a record may then recurse."""
    level = [value]
    for _ in range(limit):
        inside = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [child for children in inside for child in children]
    return any(isinstance(one, dict | list) for one in level)


def _record_of(folder: Path) -> dict[str, Any]:
    record = _stored(folder)
    version = record.get("schema_version")
    if record.get("kind") != KIND or type(version) is not int or version < 1:
        raise OutputError(f"{folder / RECORD} is not a record of ours; name a result folder.")
    if version > SCHEMA_VERSION:
        raise OutputError(
            f"{folder} was written by a newer bozzetto (schema {version}, this one reads up to {SCHEMA_VERSION}); "
            "install a newer bozzetto to read it."
        )
    if not isinstance(record.get("files"), dict):
        raise OutputError(f"{folder} is damaged: its record names no files; write the result again.")
    return record


def _named(folder: Path, record: Mapping[str, Any], role: str) -> bytes:
    """The content of the file the record names for a role, checked against its SHA-256."""
    entry = record["files"].get(role)
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise OutputError(f"{folder} is damaged: its record names no {role} file; write the result again.")
    path = _inside(folder, entry["file"])
    content = _bytes(path)
    if hashlib.sha256(content).hexdigest() != entry.get("sha256"):
        raise OutputError(
            f"{path} is cut off or altered: its checksum differs from the record's; write the result again."
        )
    return content


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:200] + "..."


def _unpack(content: bytes) -> dict[str, Tensor]:
    try:
        return {name: torch.as_tensor(value) for name, value in safetensors.torch.load(content).items()}
    except DAMAGED as error:
        raise OutputError("The stored tensors cannot be read: the file is damaged; write the result again.") from error
