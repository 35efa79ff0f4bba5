"""Which photos are meant by files, folders, lists and tars; and reading them out of a tar."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest
import torch

from bozzetto.batch import name_folders
from bozzetto.errors import InputError
from bozzetto.export.images import picture
from bozzetto.photo import read_photo
from bozzetto.photo_list import is_one_photo, list_photos, natural_key, share_of
from bozzetto.tarred import MAX_MEMBER_BYTES, members_of, read_member
from tiny_run import SIZE, photo


def test_list_photos_in_natural_order(tmp_path: Path) -> None:
    names = ["img10.png", "img2.JPG", "Img1.png", "b.jpeg", "a.webp"]
    for name in [*names, "notes.dat", ".hidden.png", "noext"]:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "inside.png").write_bytes(b"x")
    found = [p.name for p in list_photos([tmp_path])]
    assert found == ["a.webp", "b.jpeg", "Img1.png", "img2.JPG", "img10.png"]
    again = list_photos([tmp_path / "img10.png", tmp_path, tmp_path / "notes.dat", str(tmp_path / "a.webp")])
    assert [p.name for p in again] == ["a.webp", "b.jpeg", "Img1.png", "img2.JPG", "img10.png", "notes.dat"]


def test_natural_key_orders_numbers_as_numbers() -> None:
    names = [Path(n) for n in ("x9", "x10", "x010", "x1y2", "x1y10", "x²", "10", "9")]
    ordered = [str(p) for p in sorted(names, key=natural_key)]
    assert ordered == ["9", "10", "x1y2", "x1y10", "x9", "x010", "x10", "x²"]


@pytest.mark.parametrize("count", [0, 1, 5, 12])
@pytest.mark.parametrize("shares", [1, 3, 7])
def test_shares_hold_every_photo_once_and_differ_by_one_at_most(count: int, shares: int) -> None:
    photos = [f"photo {i}" for i in range(count)]
    found = [share_of(photos, f"{i}/{shares}") for i in range(1, shares + 1)]
    assert sorted(item for one in found for item in one) == sorted(photos)
    assert max(map(len, found)) - min(map(len, found)) <= 1


@pytest.mark.parametrize(
    "share", ["", "1", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b", "1.5/4", " 1/4", "1/99999999999"]
)
def test_shares_that_are_none(share: str) -> None:
    with pytest.raises(InputError, match="as in 1/16 up to 16/16"):
        share_of([1, 2, 3], share)


def test_folders_without_photos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photos in the folder"):
        list_photos([tmp_path])
    with pytest.raises(InputError, match="no image file"):
        list_photos([tmp_path / "none.png"])
    with pytest.raises(InputError, match="No photo is given"):
        list_photos([])


def test_linked_folders_and_loops(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    picture(photo()).save(folder / "one.png")
    try:
        (folder / "again").symlink_to(folder, target_is_directory=True)
        (folder / "loop.png").symlink_to(folder / "loop.png")
        (folder / "gone.png").symlink_to(folder / "nowhere.png")
        (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    except (OSError, NotImplementedError):
        pytest.skip("this system has no links")
    assert [p.name for p in list_photos([folder])] == ["one.png"]
    assert [p.name for p in list_photos([tmp_path / "link"])] == ["one.png"]


# ---------------------------------------------------------------- lists


def test_a_list_names_photos_from_its_own_folder_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep" / "folder").mkdir(parents=True)
    for name in ("b10.png", "b2.png", "folder/c.png"):
        (tmp_path / "deep" / name).write_bytes(b"x")
    other = tmp_path / "a.png"
    other.write_bytes(b"x")
    text = f"\ufeff# what to do\r\n  b10.png \r\n\r\nb2.png\nfolder\n{other}\nb2.png\ngone.png\nodd\udcff.png\n"
    (tmp_path / "deep" / "list.TXT").write_bytes(text.encode("utf-8", "surrogateescape"))
    monkeypatch.chdir(tmp_path)
    found = list_photos([Path("deep/list.TXT"), "a.png"])
    # What is not there is found out when its turn comes: it keeps none of the others waiting.
    names = [str(other), "b2.png", "b10.png", "folder/c.png", "gone.png", "odd\udcff.png"]
    assert [os.path.relpath(path, "deep") if path != other else str(path) for path in found] == names
    with pytest.raises(InputError, match=r"no image file deep/gone\.png"):
        read_photo(found[-2], SIZE)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "names no photos"),
        (b"# nothing\n\n", "names no photos"),
        (b"PK\3\4\0\0", "no text file"),
        (b"other.txt\n", "names another list"),
        (b"empty\n", "no photos in the folder"),
    ],
)
def test_lists_that_cannot_be_followed(content: bytes, match: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(InputError, match=match):
        list_photos([tmp_path / "list.txt"])
    with pytest.raises(InputError, match="cannot be read"):
        list_photos([tmp_path / "none.txt"])


def test_what_stands_for_one_photo(tmp_path: Path) -> None:
    (tmp_path / "folder.tar").mkdir()
    names = ["a.png", "a", "a.tar", "a.tar.gz", "a.TGZ", "a.txt", "folder.tar", "."]
    assert [name for name in names if is_one_photo(tmp_path / name)] == ["a.png", "a"]


# ---------------------------------------------------------------- tars


def as_png(seed: int) -> bytes:
    stream = io.BytesIO()
    picture(photo(seed)).save(stream, "PNG")
    return stream.getvalue()


def pack(path: Path, members: dict[str, bytes], extra: list[tarfile.TarInfo] = []) -> Path:  # noqa: B006
    mode = {".tar": "w", ".tgz": "w:gz", ".xz": "w:xz"}[path.suffix]
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return path


@pytest.mark.parametrize("name", ["album.tar", "album.tgz", "album.tar.xz"])
def test_a_photo_in_a_tar_is_the_photo(name: str, tmp_path: Path) -> None:
    """Whatever the packing: the same pixels and the same checksum as those of the file."""
    tar = pack(tmp_path / name, {"x10.png": as_png(1), "in/x9.png": as_png(2), "notes.md": b"no", "in/._x9.png": b"no"})
    found = list_photos([tar])
    assert found == [tar / "in/x9.png", tar / "x10.png"]
    for path, seed in zip(found, (2, 1), strict=True):
        plain = tmp_path / f"{seed}.png"
        plain.write_bytes(as_png(seed))
        packed, whole = read_photo(path, SIZE), read_photo(plain, SIZE)
        assert torch.equal(packed.image, whole.image)
        assert packed.sha256 == whole.sha256 == hashlib.sha256(as_png(seed)).hexdigest()


def test_a_member_that_climbs_is_read_and_lands_nowhere(tmp_path: Path) -> None:
    names = ["../../up.png", "/abs/root.png", "a/../../b.png", "c:\\win\\d.png", "e\x1bf.png"]
    tar = tmp_path / "sub" / "evil.tar"
    tar.parent.mkdir()
    pack(tar, {name: as_png(i) for i, name in enumerate(names)})
    before = sorted(tmp_path.rglob("*"))
    found = list_photos([tar])
    told = {path.relative_to(tar).as_posix() for path in found}
    assert told == {"up.png", "abs/root.png", "a/b.png", "c__win_d.png", "e_f.png"}
    assert all(".." not in path.parts for path in found)
    for path in found:
        read_photo(path, SIZE)
    assert sorted(tmp_path.rglob("*")) == before
    assert {folder.parent for folder in name_folders(found, tmp_path / "out")} == {tmp_path / "out"}


def test_links_devices_and_folders_in_a_tar_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(as_png(1))
    odd = []
    for kind, name in ((tarfile.SYMTYPE, "s.png"), (tarfile.LNKTYPE, "l.png"), (tarfile.FIFOTYPE, "f.png")):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, str(tmp_path / "secret.png")
        odd.append(info)
    for kind, name in ((tarfile.CHRTYPE, "c.png"), (tarfile.DIRTYPE, "d.png")):
        info = tarfile.TarInfo(name)
        info.type = kind
        odd.append(info)
    tar = pack(tmp_path / "odd.tar", {"good.png": as_png(1)}, odd)
    assert list_photos([tar]) == [tar / "good.png"]
    with pytest.raises(InputError, match=r"no image file .*odd\.tar/s\.png"):
        read_photo(tar / "s.png", SIZE)
    with pytest.raises(InputError, match="no photos in the tar"):
        list_photos([pack(tmp_path / "none.tar", {}, odd)])


def test_of_two_members_with_one_name_the_later_counts(tmp_path: Path) -> None:
    tar = pack(tmp_path / "twice.tar", {"a.png": as_png(1)})
    assert read_member(tar / "a.png") == as_png(1)
    with tarfile.open(tar, "a") as opened:
        info = tarfile.TarInfo("a.png")
        info.size = len(as_png(2))
        opened.addfile(info, io.BytesIO(as_png(2)))
    assert members_of(tar) == [tar / "a.png"]
    assert read_member(tar / "a.png") == as_png(2)  # what was known of the tar before is not used


def test_tars_that_are_damaged_or_hold_too_much(tmp_path: Path) -> None:
    tar = pack(tmp_path / "good.tar", {"a.png": as_png(1)})
    huge = tarfile.TarInfo("huge.png")
    huge.size = MAX_MEMBER_BYTES + 1
    bomb = tmp_path / "bomb.tar"
    bomb.write_bytes(huge.tobuf())
    os.truncate(bomb, huge.size + 10240)  # a hole: it takes no room
    cases = {"garbage.tar": b"no tar at all" * 99, "empty.tar": b"", "cut.tar": tar.read_bytes()[:700]}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            read_photo(list_photos([tmp_path / name])[0], SIZE)
    with pytest.raises(InputError, match="larger than 256 MB"):
        read_photo(bomb / "huge.png", SIZE)
    with pytest.raises(InputError, match="cannot be read"):
        list_photos([tmp_path / "nowhere.tar"])
    os.mkfifo(tmp_path / "pipe.tar")
    with pytest.raises(InputError, match="cannot be read"):
        list_photos([tmp_path / "pipe.tar"])
