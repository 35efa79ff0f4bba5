"""MediaPipe's selfie segmentation: a small network for people that also works on most cats and on rendered heads."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.errors import MissingExtraError
from bozzetto.segment.categories import Category
from bozzetto.segment.regions import disc, steepen, tidy
from bozzetto.segment.segmenter import Segmentation

# Inside the mediapipe package: versions 0.10.14 to 0.10.21 carry it, 0.10.30 and later do not.
MODEL = "modules/selfie_segmentation/selfie_segmentation.tflite"
INSTALL = "run: pip install 'bozzetto[segment]' (Python 3.10 to 3.12), or give a mask file"

MIDDLE = 0.5  # half widths; the object is expected to fill this disc
SURE = 0.9  # mean score there that ends the search for a better look


@dataclass(frozen=True)
class Look:
    """A change of the photo before the network sees it: gains on R, G, B, and a grey frame (share of the width)."""

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    frame: float = 0.0


# As it is, the network misses a third of cat faces; pulled towards the colours of skin, or framed, it finds them.
LOOKS = (Look(), Look(gains=(1.1, 0.95, 0.85)), Look(frame=0.075), Look(gains=(1.1, 0.95, 0.85), frame=0.075))


def model_path() -> Path | None:
    """The network inside the installed mediapipe package, or None. Nothing of mediapipe is imported."""
    try:
        spec = importlib.util.find_spec("mediapipe")
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / MODEL
        if path.is_file():
            return path
    return None


def selfie_available() -> bool:
    """Whether both the network and a program to run it are installed."""
    try:
        runner = importlib.util.find_spec("ai_edge_litert")
    except (ImportError, ValueError):
        return False
    return runner is not None and model_path() is not None


class SelfieSegmenter:
    """Runs the selfie segmentation network with LiteRT on the CPU.

    The network takes 256 x 256 RGB in [0, 1]; photos are enlarged to that and its answer is averaged over the photo
    and its mirror image. A photo in whose middle it finds nothing is shown again in the ways of `LOOKS`.
    The mask is the score made steeper around one half, with islands removed and holes filled.
    Source: Apache-2.0, model card "MediaPipe Selfie Segmentation".
    """

    name = "selfie"

    def __init__(self, num_threads: int = 1) -> None:
        """Raises MissingExtraError if mediapipe's model file or LiteRT is not installed."""
        path = model_path()
        if path is None:
            raise MissingExtraError(f"The selfie model of mediapipe (below 0.10.30) is not installed; {INSTALL}.")
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingExtraError(f"The selfie segmenter needs ai-edge-litert; {INSTALL}.") from error
        self._interpreter: Any = Interpreter(model_path=str(path), num_threads=num_threads)
        self._interpreter.allocate_tensors()
        (entry,) = self._interpreter.get_input_details()
        (answer,) = self._interpreter.get_output_details()
        self._entry, self._answer = entry["index"], answer["index"]
        self._size: tuple[int, int] = tuple(entry["shape"][1:3])

    def __call__(self, images: Float[Tensor, "b 3 s s"], category: str | Category) -> Segmentation:
        """See `Segmenter`. The category is not looked at: the network answers "a person, or something like one"."""
        with torch.no_grad():
            photos = images.detach().float().cpu()
            photos = F.interpolate(photos, size=self._size, mode="bicubic", align_corners=False).clamp(0, 1)
            score = torch.cat([self._surest_look(photo[None]) for photo in photos])
            score = F.interpolate(score, size=images.shape[-2:], mode="area").clamp(0, 1)
            score = score.to(images)
        return Segmentation(mask=tidy(steepen(score)), score=score)

    def _surest_look(self, photo: Float[Tensor, "1 3 n n"]) -> Float[Tensor, "1 1 n n"]:
        """The answer to the first look that finds an object in the photo's middle; failing that, to the surest."""
        middle = disc(photo, MIDDLE)
        best, most = torch.zeros_like(photo[:, :1]), -1.0
        for look in LOOKS:
            answer = (self._look(photo, look) + self._look(photo.flip(3), look).flip(3)) / 2
            sureness = float(answer[middle].mean())
            if sureness > most:
                best, most = answer, sureness
            if sureness > SURE:
                break
        return best

    def _look(self, photo: Float[Tensor, "1 3 n n"], look: Look) -> Float[Tensor, "1 1 n n"]:
        """The network's answer to a photo changed in a way that keeps the object's outline, put back in its place."""
        height, width = self._size
        photo = (photo * torch.tensor(look.gains).view(1, 3, 1, 1)).clamp(0, 1)
        top, left = round(height * look.frame), round(width * look.frame)
        inner = (height - 2 * top, width - 2 * left)
        photo = F.interpolate(photo, size=inner, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        answer = self._run(F.pad(photo, (left, left, top, top), value=0.5))
        answer = answer[..., top : top + inner[0], left : left + inner[1]]
        return F.interpolate(answer, size=self._size, mode="bilinear", align_corners=False)

    def _run(self, photos: Float[Tensor, "b 3 n n"]) -> Float[Tensor, "b 1 n n"]:
        answers = []
        for photo in photos.permute(0, 2, 3, 1).numpy():
            self._interpreter.set_tensor(self._entry, np.ascontiguousarray(photo[None]))
            self._interpreter.invoke()
            answers.append(torch.from_numpy(self._interpreter.get_tensor(self._answer).copy()).permute(0, 3, 1, 2))
        return torch.cat(answers) if answers else photos[:, :1]
