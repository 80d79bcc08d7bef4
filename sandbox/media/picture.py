"""Pictures: a sketch drawn at a size and encoded as PNG, JPEG or WebP."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageOps

from .sketch import MediaShape, Sketch


def background(drawing: Sketch, width: int, height: int) -> Image.Image:
    """Paint the gradient that everything else lies on."""
    ramp = Image.linear_gradient("L").resize((width, height), Image.Resampling.BILINEAR)
    return ImageOps.colorize(ramp, drawing.top, drawing.bottom)


def paint(drawing: Sketch, canvas: Image.Image, at_second: float = 0.0) -> Image.Image:
    """Draw the marks on `canvas`, moved to where they are `at_second` of a film, and return it."""
    brush = ImageDraw.Draw(canvas)
    width, height = canvas.size
    for mark in drawing.marks:
        x = width * ((mark.x + mark.drift[0] * at_second) % 1.0)
        y = height * ((mark.y + mark.drift[1] * at_second) % 1.0)
        reach = mark.reach * min(width, height)
        box = (x - reach, y - reach, x + reach, y + reach)
        if mark.form == "ellipse":
            brush.ellipse(box, fill=mark.colour)
        elif mark.form == "box":
            brush.rectangle(box, fill=mark.colour)
        else:
            brush.polygon([(x, y - reach), (x + reach, y + reach), (x - reach, y + reach)], fill=mark.colour)
    return canvas


def encode_picture(drawing: Sketch, shape: MediaShape) -> bytes:
    """Return the encoded picture; its metadata holds nothing of the prompt."""
    picture = paint(drawing, background(drawing, shape.width, shape.height))
    out = io.BytesIO()
    if shape.format == "png":
        picture.save(out, "PNG", compress_level=2)
    elif shape.format == "webp":
        picture.save(out, "WEBP", quality=shape.quality, method=0)
    else:
        picture.save(out, "JPEG", quality=max(1, shape.quality))
    return out.getvalue()
