"""A sample of every version of the result schema is kept: it is read to exactly these numbers, and drawn."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from bozzetto.cli.main import execute
from bozzetto.errors import OutputError
from bozzetto.results import Reconstruction, read, read_log, read_networks, write
from bozzetto.results.folder import RECORD, SCENE, SCHEMA_VERSION, read_preview
from bozzetto.types import Camera, DepthRange

KEPT = Path(__file__).parent / "kept"
V1 = KEPT / "v1"
MOST_BYTES = 60_000

# The first digits of the SHA-256 of each tensor's numbers, float32, lowest byte first.
V1_SHA256 = {
    "image": "6b70f1185fa6f1b1",
    "inversion": "240a912f1e5e735e",
    "recon": "58c403efaadd65d0",
    "normal": "cef620abe8df1ca0",
    "normal_posed": "c2e06f14d8a501ea",
    "albedo": "f698dac2b3a8bca4",
    "recon_mask": "6072bb9fb1a2c4ff",
    "mask": "893a106828fbdb95",
    "canonical_mask": "980aa5a51c2ed171",
    "depth": "5921a4bdab95e533",
    "depth_posed": "9effa7da76640e1c",
    "diffuse": "64d6abceda12b111",
    "shading": "d69769dad238ac56",
    "view": "5b172221ac74e6dc",
    "light": "e2116dce2bd734b9",
    "latent": "6090267c3d37790b",
}


def test_a_sample_of_every_version_is_kept() -> None:
    found = {path.name for path in KEPT.iterdir() if path.is_dir() and path.name.startswith("v")}
    assert found == {f"v{version}" for version in range(1, SCHEMA_VERSION + 1)}
    for name in found:
        record = json.loads((KEPT / name / RECORD).read_text("utf-8"))
        assert f"v{record['schema_version']}" == name
        assert {path.name for path in (KEPT / name).iterdir()} == {RECORD, SCENE}
        assert sum(path.stat().st_size for path in (KEPT / name).iterdir()) < MOST_BYTES


def test_version_1_is_read_to_exactly_these_numbers() -> None:
    made = Reconstruction.load(V1)
    digests = {name: hashlib.sha256(value.numpy().astype("<f4").tobytes()) for name, value in made.tensors().items()}
    assert {name: digest.hexdigest()[:16] for name, digest in digests.items()} == V1_SHA256
    assert made.depth[0, 8, 8].item() == 0.9601315259933472
    assert made.light[0].item() == pytest.approx(0.5171, abs=5e-5)
    assert made.latent.shape == (6, 8)
    assert (made.camera, made.depth_range) == (Camera(16, 10.0), DepthRange(0.9, 1.1))
    told = made.provenance
    assert (told.input_name, told.seed, told.generator_name, told.device) == ("image", 0, "tiny", "cpu")
    assert told.generator_sha256 == "c419dc9873ecce9898e1c64e0e98eac0ba7608286eeb7e8ea25da32fb036d2d8"
    assert told.config["inversion"]["steps"] == 3
    assert [stage["samples"] for stage in told.config["fit"]["stages"]] == [2, 3]
    assert (made.through_gan, read_networks(V1), read_preview(V1), read_log(V1)) == (None, None, None, [])


def test_version_1_written_again_holds_the_same_tensors(tmp_path: Path) -> None:
    again = write(read(V1), tmp_path / "again", formats=())
    assert (again / SCENE).read_bytes() == (V1 / SCENE).read_bytes()
    before, after = (json.loads((folder / RECORD).read_text("utf-8")) for folder in (V1, again))
    assert {**after, "schema_version": 1} == before


def test_version_1_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["export", str(V1), "--formats", "png", "glb", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"
    with Image.open(tmp_path / "out" / "recon.png") as drawn:
        pixels = torch.tensor(list(drawn.convert("RGB").tobytes())).view(16, 16, 3).permute(2, 0, 1) / 255
    assert (pixels - read(V1).recon.clamp(0, 1)).abs().max() <= 1 / 255
    assert (tmp_path / "out" / "mesh.glb").read_bytes()[:4] == b"glTF"


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, SCHEMA_VERSION + 98])
def test_a_newer_version_is_refused_and_asks_for_a_newer_bozzetto(
    version: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = tmp_path / "newer"
    shutil.copytree(V1, newer)
    record = json.loads((newer / RECORD).read_text("utf-8"))
    (newer / RECORD).write_text(json.dumps({**record, "schema_version": version, "kind_of_depth": "new"}), "utf-8")
    with pytest.raises(OutputError, match="install a newer bozzetto"):
        read(newer)
    assert execute(["export", str(newer), "--formats", "png", "--out", str(tmp_path / "out")]) == 5
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert f"schema {version}" in told.err
    assert not (tmp_path / "out").exists()
