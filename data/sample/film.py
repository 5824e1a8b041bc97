"""Films a clip: renders its scene into a video file and keeps the truth of every frame."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from data.sample.annotations import TrackTruth, write_annotations, write_truth
from data.sample.head import load_head
from data.sample.plan import ClipPlan, Codec
from data.sample.render import Box
from data.sample.scenes import HEIGHT, WIDTH, Actor, covered_share, film, make_scene, visible_share

_VISIBLE_FROM = 0.6
"""Share of a face's box that must be in the picture and not hidden for the face to be visible and its labels valid."""

_ENCODER_OPTIONS = {
    Codec.VP9: {"crf": "30", "b": "0", "g": "30", "deadline": "realtime", "cpu-used": "8"},
    Codec.H264: {"crf": "22", "preset": "veryfast"},
    Codec.HEVC: {"crf": "24", "preset": "superfast", "x265-params": "pools=none:frame-threads=1:log-level=none"},
}


def film_clip(plan: ClipPlan, out: Path, on_frame: Callable[[], None]) -> None:
    """Writes `videos/batch1/<video>.mp4`, the annotations and the truth of one clip under `out`.

    Same plan, same bytes on the same machine: the encoders run on one thread. `on_frame` is called after every frame.
    """
    scene = make_scene(load_head(), plan)
    boxes: list[list[Box]] = []
    with _VideoWriter(out / "videos" / "batch1" / f"{plan.video_id}.mp4", plan.codec, plan.fps) as video:
        for picture, found in film(scene, (plan.seed, plan.index, 1)):
            video.write(picture)
            boxes.append(found)
            on_frame()
    rng = np.random.default_rng((plan.seed, plan.index, 2))
    for place, (name, actor) in enumerate(zip(plan.everyone, scene.actors, strict=True)):
        faces = [found[place] for found in boxes]
        truth = TrackTruth(
            track_id=name,
            performance=actor.performance,
            box_F4=np.array([(face.x, face.y, face.w, face.h) for face in faces], np.float32),
            visible_F=np.array([_seen_share(found, place, scene.actors) >= _VISIBLE_FROM for found in boxes]),
        )
        if name in plan.track_ids:
            write_annotations(out / "annotations", plan, truth, rng)
        write_truth(out / "truth", truth)


def _seen_share(found: list[Box], place: int, actors: list[Actor]) -> float:
    """How much of a person's face is in the picture and not hidden; people drawn later are in front."""
    order = sorted(range(len(actors)), key=lambda other: -actors[other].depth)
    nearer = order[order.index(place) + 1 :]
    covered = max((covered_share(found[place], found[other]) for other in nearer), default=0.0)
    return min(visible_share(found[place]), 1 - covered)


class _VideoWriter:
    """An .mp4 file of one video stream, finished when closed."""

    def __init__(self, path: Path, codec: Codec, fps: Fraction) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream(codec.value, rate=fps)
        self._stream.width, self._stream.height, self._stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        self._stream.options = _ENCODER_OPTIONS[codec]
        self._stream.thread_count = 1

    def write(self, picture: np.ndarray) -> None:
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))

    def __enter__(self) -> _VideoWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()
