"""One image file: what its header says, and its pixels. Nothing is decoded that is not sized first."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from equibench.errors import A_POINTER, LFS_POINTER, UserError, first_line

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")  # of no other: some are programs, which Pillow hands on
MOST_PIXELS = 2**26  # of one image, 8192 x 8192; below where Pillow warns
_MOST_BYTES = 5 * MOST_PIXELS  # of one file: four channels uncompressed, and room for what else it says
_GREY = ("1", "L", "LA")
_READ = (*_GREY, "P", "PA", "RGB", "RGBA")
_OTHER_FORMATS = {
    b"GIF8": "a GIF", b"\x00\x00\x00\x0cjP": "a JPEG 2000", b"\xff\x4f\xff\x51": "a JPEG 2000",
    b"\xff\x0a": "a JPEG XL", b"\x00\x00\x00\x0cJXL": "a JPEG XL", b"%!PS": "a PostScript program", b"8BPS": "a PSD",
    b"P5": "a PGM", b"P6": "a PPM", b"PK\x03\x04": "an archive", np.lib.format.MAGIC_PREFIX: "an array",
    b"%PDF": "a PDF",
}  # fmt: skip
_TIFF_LOSSY = {"tiff_jpeg": "JPEG", "jpeg": "JPEG", "webp": "WebP"}
_BITS, _STRIPS, _TILES, _SAMPLE_FORMAT = 258, 273, 324, 339  # tags of TIFF
_ORIENTATION = 274  # of EXIF


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What is known of an image before it is decoded."""

    width: int
    height: int
    channels: int  # 1 for greys, 3 for colour and palettes
    lossy: str | None  # how it was compressed with loss, by content; None without loss
    turned: bool  # has an EXIF orientation, which is not applied
    more: bool  # a JPEG with further pictures in it: previews, gain maps, the other eye


def header(file: Path) -> ImageHeader:
    """What the file says of itself. Raises UserError for what cannot be read, or would be read as something else: more
    than 8 bits a channel, colours that are not RGB, several frames, sizes beyond MOST_PIXELS.
    """
    # Pillow remarks on odd metadata, and on sizes that are refused here
    warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
    try:
        with file.open("rb") as stream:
            _check_content(file, stream)
            stream.seek(0)
            with Image.open(stream, formats=FORMATS) as image:
                _check(file, image, stream)
                return ImageHeader(
                    *image.size,
                    1 if image.mode in _GREY else 3,
                    _lossy(image, stream),
                    _is_turned(image),
                    image.format == "MPO",
                )
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(_too_large(file, "more than")) from None
    except Exception as error:  # a decoder may raise anything on bytes that are no image
        raise UserError(_unreadable(file, error)) from None


def decoded(file: Path, known: ImageHeader, channels: int) -> NDArray[np.uint8]:
    """The pixels of a file with header `known`: uint8 [H, W] for one channel, which only greys have, [H, W, 3] for 3.

    Raises UserError for a file that is broken or has pixels that are not opaque.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.size != (known.width, known.height):
                raise UserError(f"{file} changed while it was read; start again when it is written")
            image.load()
            transparent = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA")
            if transparent and image.convert("RGBA").getchannel("A").getextrema()[0] != 255:
                raise UserError(
                    f"{file} has transparent pixels, whose colour depends on what lies behind; draw it on a background "
                    "(Image.alpha_composite), or drop the channel (image.convert('RGB')), and save it again"
                )
            # a palette with transparency converts in two steps, or Pillow warns
            plain = image.convert("RGBA") if image.mode in ("P", "PA") and transparent else image
            return np.array(plain.convert("L" if channels == 1 else "RGB"))
    except UserError:
        raise
    except Exception as error:
        raise UserError(_unreadable(file, error)) from None


def check_not_a_pointer(path: Path, start: bytes) -> None:
    """Raises UserError where a file that begins with `start` is empty, or what Git LFS leaves in place of a file."""
    if not start:
        raise UserError(f"{path} is empty; replace or remove it")
    if start.startswith(LFS_POINTER):
        raise UserError(f"{path} is {A_POINTER}")


def _check_content(file: Path, stream: BinaryIO) -> None:
    start = stream.read(64)
    check_not_a_pointer(file, start)
    other = next((name for magic, name in _OTHER_FORMATS.items() if start.startswith(magic)), None)
    if start[4:8] == b"ftyp":
        other = "an AVIF" if b"avi" in start[8:32] else "an HEIF"
    if other:
        raise UserError(f"{file} is {other}, by content, which is not read; save it as PNG, or remove it")
    if stream.seek(0, 2) > _MOST_BYTES:
        raise UserError(_too_large(file, "bytes for more than"))
    if start.startswith(b"\x89PNG") and start[24:25] == b"\x10":
        raise UserError(_too_deep(file))
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":  # Pillow makes room for the pixels as it opens one
        width, height = _webp_size(start)
        if width * height > MOST_PIXELS:
            raise UserError(_too_large(file, f"{width}x{height} pixels, more than"))


def _check(file: Path, image: Image.Image, stream: BinaryIO) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise UserError(_too_large(file, f"{width}x{height} pixels, more than"))
    if min(width, height) < 1:
        raise UserError(f"{file} has {width}x{height} pixels; replace or remove it")
    tags: Any = getattr(image, "tag_v2", {})
    bits, kinds = (tuple(tags.get(tag, (least,))) for tag, least in ((_BITS, 1), (_SAMPLE_FORMAT, 1)))
    if image.mode[0] in "IF" or any(bit > 8 for bit in bits) or any(kind not in (1, 4) for kind in kinds):
        raise UserError(_too_deep(file))
    if image.mode not in _READ:
        raise UserError(f"{file} has colours of the kind {image.mode}; convert it to RGB (image.convert('RGB'))")
    frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
    if frames > 1:
        raise UserError(f"{file} holds {frames} frames; save the one that is meant as a file of its own")
    stream.seek(0)


def _lossy(image: Image.Image, stream: BinaryIO) -> str | None:
    if image.format in ("JPEG", "MPO"):
        return "JPEG"
    stream.seek(0)
    if image.format == "WEBP":
        return "WebP" if _webp_codec(stream) != b"VP8L" else None
    if image.format == "TIFF":
        kind = _TIFF_LOSSY.get(str(image.info.get("compression")))
        if kind == "WebP":
            tags: Any = getattr(image, "tag_v2", {})
            stream.seek((tags.get(_STRIPS) or tags.get(_TILES))[0])
            kind = kind if _webp_codec(stream) != b"VP8L" else None
        return f"TIFF with {kind} compression" if kind else None
    return None


def _webp_codec(stream: BinaryIO) -> bytes:
    """The kind of the first chunk of pixels, `VP8 ` or `VP8L`, in a WebP file that begins here."""
    stream.seek(12, 1)
    while len(head := stream.read(8)) == 8:
        kind, size = head[:4], int.from_bytes(head[4:], "little")
        if kind in (b"VP8 ", b"VP8L"):
            return kind
        # a frame of an animation has 16 bytes before its own chunks
        stream.seek(16 if kind == b"ANMF" else size + size % 2, 1)
    return b""


def _webp_size(start: bytes) -> tuple[int, int]:
    """Width and height by the first 30 bytes of a file."""
    kind = start[12:16]
    if len(start) < 30:
        return 0, 0
    if kind == b"VP8X":
        return 1 + int.from_bytes(start[24:27], "little"), 1 + int.from_bytes(start[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(start[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", start[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _is_turned(image: Image.Image) -> bool:
    """Whether EXIF, as far as it stands before the pixels, turns or mirrors the image; Pillow turns TIFF itself."""
    return image.format != "TIFF" and "exif" in image.info and image.getexif().get(_ORIENTATION, 1) not in (0, 1)


def _too_deep(file: Path) -> str:
    return f"{file} has more than 8 bits a channel; convert it to 8 bits"


def _too_large(file: Path, what: str) -> str:
    return f"{file} says it has {what} the {MOST_PIXELS:,} pixels that are read of one image; replace or remove it"


def _unreadable(file: Path, error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
    return f"cannot read the image {file} ({said}); replace or remove it"
