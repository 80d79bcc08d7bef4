"""Films: a sketch in motion, as H.264 in MP4, small because only its form matters here."""

from __future__ import annotations

import math
import tempfile
from array import array
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from .picture import background, paint
from .sketch import MediaShape, Sketch

FRAMES_PER_SECOND = 12
LONGEST_SIDE = 320
_SAMPLE_RATE = 32_000


def encode_film(drawing: Sketch, shape: MediaShape) -> bytes:
    """Return a playable MP4 of the shape's ratio and duration, with a soft tone when audio was asked."""
    width, height = _small(shape.width, shape.height)
    with tempfile.TemporaryDirectory(prefix="sandbox-film-") as folder:
        # The index can only be moved to the front (so that players start at once) in a file with a name.
        path = Path(folder) / "film.mp4"
        with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
            pictures = container.add_stream(
                "libx264",
                rate=FRAMES_PER_SECOND,
                options={"preset": "ultrafast", "crf": "30", "threads": "1"},
            )
            pictures.width, pictures.height, pictures.pix_fmt = width, height, "yuv420p"
            sound = container.add_stream("aac", rate=_SAMPLE_RATE, layout="mono") if shape.audio else None
            _write_pictures(container, pictures, drawing, shape.seconds)
            if sound is not None:
                _write_sound(container, sound, drawing.pitch_hz, shape.seconds)
        return path.read_bytes()


def _write_pictures(container: OutputContainer, stream: VideoStream, drawing: Sketch, seconds: float) -> None:
    canvas = background(drawing, stream.width, stream.height)
    for number in range(round(seconds * FRAMES_PER_SECOND)):
        picture = paint(drawing, canvas.copy(), number / FRAMES_PER_SECOND)
        frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
        frame.pts = number
        frame.time_base = Fraction(1, FRAMES_PER_SECOND)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _write_sound(container: OutputContainer, stream: AudioStream, pitch_hz: int, seconds: float) -> None:
    turn = 2 * math.pi * pitch_hz / _SAMPLE_RATE
    one_second = array("h", (round(1_500 * math.sin(turn * n)) for n in range(_SAMPLE_RATE))).tobytes()
    for second in range(math.ceil(seconds)):
        samples = min(_SAMPLE_RATE, round((seconds - second) * _SAMPLE_RATE))
        frame = av.AudioFrame(format="s16", layout="mono", samples=samples)
        frame.sample_rate = _SAMPLE_RATE
        frame.pts = second * _SAMPLE_RATE
        frame.time_base = Fraction(1, _SAMPLE_RATE)
        plane = frame.planes[0]
        plane.update(one_second[: samples * 2].ljust(plane.buffer_size, b"\0"))
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _small(width: int, height: int) -> tuple[int, int]:
    """Shrink to the longest side, keeping the ratio; yuv420p wants even sides."""
    scale = LONGEST_SIDE / max(width, height)
    return max(16, round(width * scale / 2) * 2), max(16, round(height * scale / 2) * 2)
