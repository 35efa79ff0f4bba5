"""Jobs on disk: a folder each, with the upload, the record, previews, and the result once there is one.

| in `<folder>/<id>/` | what |
|---|---|
| job.json | the record, see `job.Job` |
| photo, mask | the uploads, byte by byte, under names of our own |
| thumb.png | the upload, small and upright |
| preview-NAME.png | the object as it was last drawn |
| result/, result.partial/ | the result folder; what it takes to go on with an unfinished run |
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image

from bozzetto.errors import InputError
from bozzetto.export.files import make_folder, write_error, write_text
from bozzetto.export.images import write_png
from bozzetto.photo import open_photo
from bozzetto.serve.job import ID, Job, Wishes, new_id, shown_name

RECORD, PHOTO, MASK, THUMB, RESULT = "job.json", "photo", "mask", "thumb.png", "result"
PREVIEW = "preview-{}.png"  # one for each of `preview.NAMES`
NEW = ".new"  # ends the hidden name of a folder that is being filled
THUMB_PX = 320

_log = logging.getLogger("bozzetto")


class Store:
    """The folder of all jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def load(self) -> list[Job]:
        """Every job, oldest first. One that was running when its server ended is stopped.

        Raises:
            OutputError: the folder cannot be made or read.
        """
        make_folder(self.folder)
        try:
            entries = sorted(self.folder.iterdir())
        except OSError as error:
            raise write_error(self.folder, error) from error
        found = []
        for entry in entries:
            if ID.fullmatch(entry.name) and not entry.is_symlink():
                try:
                    job = Job.from_json(json.loads((entry / RECORD).read_text("utf-8")))
                    if job.id != entry.name:
                        raise ValueError("another folder's record")
                except (OSError, ValueError, RecursionError):
                    _log.warning("%s is damaged and left out.", entry)
                    continue
                if job.state == "running":
                    job = replace(job, state="stopped", message="The server ended while this was under way.")
                    self.save(job)
                found.append(job)
            elif entry.name.startswith(".") and entry.name.endswith(NEW) and ID.fullmatch(entry.name[1 : -len(NEW)]):
                shutil.rmtree(entry, ignore_errors=True)  # an upload that nobody was told of
        return sorted(found, key=lambda job: (job.made_s, job.id))

    def save(self, job: Job) -> None:
        """Write the record, whole or not at all. Raises OutputError."""
        write_text(self.place(job) / RECORD, json.dumps(job.to_json(), indent=2, allow_nan=False) + "\n")

    def place(self, job: Job) -> Path:
        return self.folder / job.id

    def result(self, job: Job) -> Path:
        return self.place(job) / RESULT

    def add(self, photo: Path, mask: Path | None, name: str, wishes: Wishes) -> Job:
        """Check an upload by its content and take it in: afterwards it is there whole, or not at all.

        Raises:
            InputError: photo or mask is no image that can be read.
            OutputError: the system refused to write.
        """
        thumb = check_image(photo, "The photo")
        if mask is not None:
            check_image(mask, "The mask")
        job = Job(new_id(), shown_name(name), wishes, time.time())
        fresh = self.folder / f".{job.id}{NEW}"
        try:
            fresh.mkdir(parents=True)
            shutil.copyfile(photo, fresh / PHOTO)
            if mask is not None:
                shutil.copyfile(mask, fresh / MASK)
            write_png(thumb, fresh / THUMB)
            write_text(fresh / RECORD, json.dumps(job.to_json(), indent=2) + "\n")
            os.rename(fresh, self.place(job))
        except BaseException as error:
            shutil.rmtree(fresh, ignore_errors=True)
            if isinstance(error, OSError):
                raise write_error(self.place(job), error) from error
            raise
        return job

    def remove(self, job: Job) -> None:
        """Delete a job with all that came of it. Raises OutputError."""
        try:
            shutil.rmtree(self.place(job))
        except OSError as error:
            raise write_error(self.place(job), error) from error

    def files(self, job: Job) -> dict[str, int]:
        """Regular files of the result by name, with their sizes in bytes; links and folders are passed over."""
        return dict(regular_files(self.result(job)))


def regular_files(folder: Path) -> Iterator[tuple[str, int]]:
    """Names and sizes of a folder's own regular files, in order."""
    if folder.is_dir() and not folder.is_symlink():
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
                    yield entry.name, entry.stat(follow_symlinks=False).st_size


def check_image(path: Path, what: str) -> Image.Image:
    """Decode an upload and return it small and upright. Raises InputError that calls it `what`."""
    try:
        photo = open_photo(path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), what)) from error
    plane = photo.planes[0]
    if plane.mode == "F":  # deep grey in [0, 1]
        plane = plane.point(lambda value: value * 255).convert("L")
    plane.thumbnail((THUMB_PX, THUMB_PX))
    return plane


def told(text: str, job: Job, store: Store) -> str:
    """An error's sentence as the pages show it: with the upload's own name instead of paths of this machine."""
    for path, name in ((PHOTO, job.name), (MASK, "The mask"), (f"{RESULT}.partial", "The job"), (RESULT, "The result")):
        text = text.replace(str(store.place(job) / path), name)
    return text.replace(str(store.place(job)), "The job's folder")
