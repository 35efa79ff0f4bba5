"""Latents, generators, result folders, truths, scenes and tars from strangers: damaged, of another kind, malicious."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from corpus import CANARY, Case, Evil, content, loop, nowhere
from torch import Tensor

TEXT = b"no numbers in here\n" * 20
DEEP = b"[" * 200_000 + b"]" * 200_000


def evil_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Evil(path.parent.parent / CANARY)))


def evil_torch(path: Path) -> None:
    torch.save({"latent": Evil(path.parent.parent / CANARY), "g_ema": Evil(path.parent.parent / CANARY)}, path)


def evil_numpy(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.array([Evil(path.parent.parent / CANARY)], dtype=object), allow_pickle=True)


def evil_npz(path: Path) -> None:
    bad = np.array([Evil(path.parent.parent / CANARY)], dtype=object)
    with path.open("wb") as stream:
        np.savez(stream, latent=bad, depth=bad)


def tensors(values: Mapping[str, Tensor], **metadata: str) -> Callable[[Path], None]:
    """A maker of a safetensors file."""
    return content(safetensors.torch.save(dict(values), metadata or None))


def stated(header: bytes, length: int | None = None, rest: bytes = b"") -> Callable[[Path], None]:
    """A maker of a safetensors file of a header that need not be true."""
    return content(struct.pack("<Q", len(header) if length is None else length) + header + rest)


def numpy(values: np.ndarray) -> Callable[[Path], None]:
    stream = io.BytesIO()
    np.save(stream, values)
    return content(stream.getvalue())


def npz(**arrays: np.ndarray) -> Callable[[Path], None]:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return content(stream.getvalue())


def numpy_claim(shape: str) -> bytes:
    """A NumPy file that says it is larger than it is."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def zipped(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, data)
    return stream.getvalue()


def claims(**facts: Any) -> Callable[[Path], None]:
    """A maker of a generator file whose metadata say these things."""
    table = json.dumps({"4": 7, "8": 6, "16": 5})
    said = {"format": "rosinality", "channels": table, "style_dim": "8", "n_mlp": "3", **facts}
    return tensors({"x": torch.zeros(1)}, **{key: str(value) for key, value in said.items()})


HUGE = json.dumps({"4": 10**9, "8": 10**9, "16": 10**9})
W = torch.zeros(6, 8)

LATENTS = [
    *nowhere(".safetensors"),
    Case("latent: empty .pt", "empty.pt", content(b"")),
    Case("latent: text .pt", "text.pt", content(TEXT)),
    Case("latent: pickle that makes a file", "evil.pt", evil_pickle),
    Case("latent: torch file that makes a file", "evil2.pt", evil_torch),
    Case("latent: NumPy file that makes a file", "evil.npy", evil_numpy),
    Case("latent: archive that makes a file", "evil.npz", evil_npz),
    Case("latent: NumPy file that says 10^12 numbers", "claims.npy", content(numpy_claim("(1000000, 1000000)"))),
    Case("latent: NumPy file of a negative shape", "minus.npy", content(numpy_claim("(-6, -8)"))),
    Case("latent: NumPy file without shape", "odd.npy", content(numpy_claim("None"))),
    Case("latent: cut off .npy", "half.npy", content(numpy_claim("(6, 8)") + b"\0" * 9)),
    Case("latent: archive without one", "other.npz", npz(other=np.zeros((6, 8), np.float32))),
    Case("latent: archive of text", "text.npz", content(zipped("latent.npy", TEXT))),
    Case("latent: NaN", "nan.npy", numpy(np.full((6, 8), np.nan, np.float32))),
    Case("latent: whole numbers", "whole.npy", numpy(np.zeros((6, 8), np.int64))),
    Case("latent: of another width", "wide.npy", numpy(np.zeros((6, 9), np.float32))),
    Case("latent: of no size", "none.npy", numpy(np.zeros((0, 8), np.float32))),
    Case("latent: one number", "one.npy", numpy(np.float32(1))),
    Case("latent: empty .safetensors", "empty.safetensors", content(b"")),
    Case("latent: header longer than the file", "long.safetensors", stated(b"{}", 2**60)),
    Case("latent: header that is no JSON", "text.safetensors", stated(TEXT)),
    Case("latent: header nested deeply", "deep.safetensors", stated(DEEP)),
    Case("latent: tensor beyond the file", "beyond.safetensors", stated(
        b'{"latent":{"dtype":"F32","shape":[6,8],"data_offsets":[0,192]}}')),
    Case("latent: two without a name", "two.safetensors", tensors({"a": W, "b": W.clone()})),
    Case("latent: unknown suffix", "latent.txt", content(TEXT)),
]  # fmt: skip

GANS = [
    *nowhere(".pt"),
    Case("generator: empty", "empty.pt", content(b"")),
    Case("generator: text", "text.pkl", content(TEXT)),
    Case("generator: web page for a download", "page.safetensors", content(b"<!doctype html>" + TEXT)),
    Case("generator: pickle that makes a file", "evil.pkl", evil_pickle),
    Case("generator: torch file that makes a file", "evil.pt", evil_torch),
    Case("generator: pickle cut off", "half.pkl", content(pickle.dumps({"G_ema": list(range(999))})[:200])),
    Case("generator: pickle of plain values", "plain.pkl", content(pickle.dumps({"G_ema": 1, "D": 2}))),
    Case("generator: archive of text", "text.pt", content(zipped("a/data.pkl", TEXT))),
    Case("generator: archive bomb", "bomb.pt", content(zipped("a/data.pkl", bytes(300_000_000)))),
    Case("generator: header longer than the file", "long.safetensors", stated(b"{}", 2**60)),
    Case("generator: header nested deeply", "deep.safetensors", stated(DEEP)),
    Case("generator: metadata that are no text", "odd.safetensors", stated(b'{"__metadata__":{"format":[1]}}')),
    Case("generator: tensors of something else", "other.safetensors", tensors({"weight": torch.zeros(3)})),
    Case("generator: says 10^9 channels", "huge.safetensors", claims(channels=HUGE)),
    Case("generator: says 10^9 mapping layers", "layers.safetensors", claims(n_mlp=10**9)),
    Case("generator: says minus 8 numbers a latent", "minus.safetensors", claims(style_dim=-8)),
    Case("generator: says no sizes", "sizes.safetensors", claims(channels="{}")),
    Case("generator: sizes that are no powers of two", "odd_sizes.safetensors", claims(channels='{"5": 3, "7": 2}')),
    Case("generator: without its tensors", "names.safetensors", claims()),
]  # fmt: skip


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path, Path], None]:
    """A change to a result's record."""

    def make(source: Path, path: Path) -> None:
        shutil.copytree(source, path)
        record = json.loads((path / "reconstruction.json").read_text("utf-8"))
        change(record)
        (path / "reconstruction.json").write_text(json.dumps(record), "utf-8")

    return make


def result_cases(source: Path) -> list[Case]:
    """Result folders that are none, made of one that is whole."""
    rows: dict[str, Callable[[Path, Path], object]] = {
        "result: empty folder": lambda _, path: path.mkdir(),
        "result: a file": lambda _, path: path.write_bytes(TEXT),
        "result: a link to itself": lambda _, path: loop(path),
        "result: nothing": lambda _, path: None,
        "result: of a newer version": changed(lambda r: r.update(schema_version=99)),
        "result: version that is no number": changed(lambda r: r.update(schema_version="one")),
        "result: version that is a truth value": changed(lambda r: r.update(schema_version=True)),
        "result: version of minus one": changed(lambda r: r.update(schema_version=-1)),
        "result: of another kind": changed(lambda r: r.update(kind="somebody-else")),
        "result: names no files": changed(lambda r: r.update(files=None)),
        "result: file in another folder": changed(lambda r: r["files"]["scene"].update(file="../scene.safetensors")),
        "result: file of the system": changed(lambda r: r["files"]["scene"].update(file="/etc/hostname")),
        "result: file named by a drive": changed(lambda r: r["files"]["scene"].update(file="C:scene.safetensors")),
        "result: file that is no name": changed(lambda r: r["files"]["scene"].update(file=["x"])),
        "result: no camera": changed(lambda r: r.pop("camera")),
        "result: camera of 10^9 px": changed(lambda r: r["camera"].update(size=10**9)),
        "result: camera of minus 1 px": changed(lambda r: r["camera"].update(size=-1)),
        "result: camera of infinite px": changed(lambda r: r["camera"].update(size=float("inf"))),
        "result: camera of no angle": changed(lambda r: r["camera"].update(fov_deg=float("nan"))),
        "result: camera of 180 degrees": changed(lambda r: r["camera"].update(fov_deg=180)),
        "result: depth range upside down": changed(lambda r: r["depth_range"].update(near=2.0)),
        "result: no provenance": changed(lambda r: r.pop("provenance")),
        "result: provenance of numbers": changed(lambda r: r["provenance"].update(input_name=7)),
        "result: record of text": lambda s, p: whole(s, p, "reconstruction.json", TEXT),
        "result: record nested deeply": lambda s, p: whole(s, p, "reconstruction.json", DEEP),
        "result: record of a list": lambda s, p: whole(s, p, "reconstruction.json", b"[1, 2]"),
        "result: record that is not UTF-8": lambda s, p: whole(s, p, "reconstruction.json", b"\xff\xfe{}"),
        "result: record of 17 MB": lambda s, p: whole(s, p, "reconstruction.json", b" " * (17 * 2**20)),
        "result: record is missing": lambda s, p: whole(s, p, "reconstruction.json", None),
        "result: record is a pipe": lambda s, p: whole(s, p, "reconstruction.json", None, "pipe"),
        "result: record is a link outside": lambda s, p: linked(s, p, "reconstruction.json"),
        "result: tensors are missing": lambda s, p: whole(s, p, "scene.safetensors", None),
        "result: tensors are text": lambda s, p: whole(s, p, "scene.safetensors", TEXT),
        "result: tensors are a link outside": lambda s, p: linked(s, p, "scene.safetensors"),
        "result: tensors are a folder": lambda s, p: whole(s, p, "scene.safetensors", None, "folder"),
    }
    return [Case(title, f"r{i}", _maker(source, make)) for i, (title, make) in enumerate(rows.items())]


def _maker(source: Path, make: Callable[[Path, Path], object]) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        make(source, path)

    return put


def whole(source: Path, path: Path, name: str, data: bytes | None, kind: str = "") -> None:
    """A whole result but for one file of it."""
    shutil.copytree(source, path)
    (path / name).unlink()
    if data is not None:
        (path / name).write_bytes(data)
    elif kind:
        next(case for case in nowhere("") if case.title == f"a {kind}").make(path / name)


def linked(source: Path, path: Path, name: str) -> None:
    """A whole result, one file of which is a link to the original."""
    whole(source, path, name, None)
    (path / name).symlink_to(source / name)


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def _link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member, b""


SOURCES = [
    *nowhere(".tar"),
    Case("pictures: empty tar", "empty.tar", content(b"")),
    Case("pictures: text named .tar", "text.tar", content(TEXT)),
    Case("pictures: tar cut off", "half.tar", content(tar_of((tarfile.TarInfo("a.png"), bytes(5000)))[:700])),
    Case("pictures: tar that leads outside", "out.tar", content(
        tar_of((tarfile.TarInfo("../../a.png"), b"x"), (tarfile.TarInfo("/etc/b.png"), b"x")))),
    Case("pictures: tar of links", "links.tar", content(tar_of(_link("a.png", "/etc/hostname")))),
]  # fmt: skip

TRUTHS = [
    *nowhere(".npz"),
    Case("truth: empty", "empty.npz", content(b"")),
    Case("truth: text", "text.npz", content(TEXT)),
    Case("truth: archive that makes a file", "evil.npz", evil_npz),
    Case("truth: NumPy file that makes a file", "evil.npy", evil_numpy),
    Case("truth: NumPy file that says 10^12 numbers", "claims.npy", content(numpy_claim("(1000000, 1000000)"))),
    Case("truth: without depth", "other.npz", npz(other=np.ones((16, 16), np.float32))),
    Case("truth: archive of text", "words.npz", content(zipped("depth.npy", TEXT))),
    Case("truth: NaN", "nan.npy", numpy(np.full((16, 16), np.nan, np.float32))),
    Case("truth: text in place of numbers", "words.npy", numpy(np.array([["a"]]))),
    Case("truth: too small", "small.npy", numpy(np.ones((4, 4), np.float32))),
    Case("truth: of four sides", "four.npy", numpy(np.ones((2, 2, 2, 2), np.float32))),
    Case("truth: PNG cut off", "half.png", content(b"\x89PNG\r\n\x1a\n")),
    Case("truth: EXR of text", "text.exr", content(TEXT)),
    Case("truth: unknown suffix", "truth.txt", content(TEXT)),
]

SCENES = [
    *nowhere(".json"),
    Case("scenes: empty", "empty.json", content(b"")),
    Case("scenes: text", "text.json", content(TEXT)),
    Case("scenes: a list", "list.json", content(b"[]")),
    Case("scenes: nested deeply", "deep.json", content(DEEP)),
    Case("scenes: numbers that are none", "nan.json", content(b'{"views": {"mean": NaN}, "lights": {}}')),
    Case("scenes: not UTF-8", "latin.json", content(b'{"views": "\xff"}')),
]
