"""Opening a file with a real decoder: a file that a decoder reads to its end is a real file."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict


class Decoded(TypedDict):
    """What the decoder found."""

    format: str
    width: int
    height: int
    frames: int
    seconds: float
    """Length of a video; 0 for a picture."""
    bytes: int


def decode(path: Path) -> Decoded:
    """Decodes every pixel of a picture or every frame of a video.

    Raises:
        OSError, av.FFmpegError, ValueError: the decoder refuses the file, or it holds nothing.
    """
    return _video(path) if path.suffix == ".mp4" else _picture(path)


def _picture(path: Path) -> Decoded:
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        return Decoded(
            format=(image.format or "").lower(),
            width=image.width,
            height=image.height,
            frames=1,
            seconds=0.0,
            bytes=path.stat().st_size,
        )


def _video(path: Path) -> Decoded:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames, end = 0, 0.0
        for frame in container.decode(stream):
            frames += 1
            end = max(end, float(frame.time or 0.0))
        if frames == 0:
            raise ValueError("the video holds no frame")
        rate = float(stream.average_rate or 0)
        return Decoded(
            format="mp4",
            width=stream.width,
            height=stream.height,
            frames=frames,
            seconds=round(end + (1 / rate if rate else 0.0), 3),
            bytes=path.stat().st_size,
        )
