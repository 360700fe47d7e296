"""Image files of all kinds: read to the last pixel, or refused by name."""

import io
import re
import struct

import numpy as np
import pytest
from files_of_images import pixels, png, tiff, write_pngs
from PIL import Image

from equibench.data import pictures
from equibench.data.source import of_folder
from equibench.errors import UserError

GREY, COLOUR = pixels(1, 6, 8)[0], pixels(1, 6, 8, 3, seed=1)[0]


def read(file):
    """As one of a folder of its own kind: [H, W] or [H, W, 3]."""
    known = pictures.header(file)
    return pictures.decoded(file, known, known.channels)


def saved(image, file, **options):
    image.save(file, **options)
    return file


def refused(file, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)) as caught:
        read(file)
    assert file.name in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tif"])
@pytest.mark.parametrize("image", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_formats_to_the_last_pixel(tmp_path, suffix, image):
    file = saved(Image.fromarray(image), tmp_path / f"a{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    got = read(file)
    assert np.array_equal(got if got.ndim == image.ndim else got[..., 0], image)
    assert pictures.header(file).lossy is None


@pytest.mark.parametrize(
    ("bit_depth", "rows", "expected"),
    [
        (1, bytes([0b10100000]), [255, 0, 255, 0]),
        (2, bytes([0b00011011]), [0, 85, 170, 255]),
        (4, bytes([0x0F, 0x37]), [0, 255, 51, 119]),
        (8, bytes([0, 1, 128, 255]), [0, 1, 128, 255]),
    ],
)
def test_greys_of_few_bits_have_all_of_the_range(tmp_path, bit_depth, rows, expected):
    (tmp_path / "a.png").write_bytes(png(rows, 4, 1, bit_depth, 0))
    assert read(tmp_path / "a.png").tolist() == [expected]
    assert pictures.header(tmp_path / "a.png").channels == 1


def test_palettes_are_colours(tmp_path):
    palette = (b"PLTE", bytes([10, 20, 30, 40, 50, 60]))
    (tmp_path / "a.png").write_bytes(png(bytes([0b01000000]), 2, 1, 1, 3, [palette]))
    assert read(tmp_path / "a.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]
    opaque = (b"tRNS", bytes([255, 255]))
    (tmp_path / "a.png").write_bytes(png(bytes([0b01000000]), 2, 1, 1, 3, [palette, opaque]))
    assert read(tmp_path / "a.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (4, 2), (2, 3), (6, 4)])
def test_sixteen_bits_of_a_png_are_refused(tmp_path, colour_type, channels):
    (tmp_path / "a.png").write_bytes(png(bytes(2 * channels * 4 * 3), 4, 3, 16, colour_type))
    refused(tmp_path / "a.png", "has more than 8 bits a channel; convert it to 8 bits")


@pytest.mark.parametrize(
    ("bits", "photometric", "more"),
    [((16,), 1, ()), ((16,) * 3, 2, ()), ((16,) * 4, 2, [(338, 2)]), ((32,), 1, [(339, 3)]), ((8,), 1, [(339, 2)])],
    ids=["grey", "RGB", "RGBA", "float", "signed"],
)
def test_deep_and_signed_tiff_is_refused(tmp_path, bits, photometric, more):
    (tmp_path / "a.tif").write_bytes(tiff(bytes(sum(bits) // 8 * 12), 4, 3, bits, photometric, more=more))
    refused(tmp_path / "a.tif", "has more than 8 bits a channel")


@pytest.mark.parametrize(("photometric", "levels"), [(1, [0, 7, 200, 255]), (0, [255, 248, 55, 0])])
def test_tiff_of_8_bits_is_read_white_or_black_first(tmp_path, photometric, levels):
    (tmp_path / "a.tif").write_bytes(tiff(bytes([0, 7, 200, 255]), 4, 1, (8,), photometric))
    assert read(tmp_path / "a.tif").tolist() == [levels]


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_other_colours_are_refused(tmp_path, mode):
    image = Image.fromarray(COLOUR).convert("RGB")
    image = Image.new("LAB", (8, 6)) if mode == "LAB" else image.convert(mode)
    refused(saved(image, tmp_path / "a.tif"), f"has colours of the kind {mode}; convert it to RGB")


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_alpha_that_is_opaque_is_dropped_and_any_other_refused(tmp_path, mode):
    image = Image.fromarray(GREY if mode == "LA" else COLOUR)
    if mode == "P":
        saved(image.quantize(4), tmp_path / "a.png", transparency=bytes([255] * 4))
        saved(image.quantize(4), tmp_path / "b.png", transparency=bytes([255, 254, 255, 255]))
    else:
        image = image.convert(mode)
        saved(image, tmp_path / "a.png")
        image.putpixel((3, 2), (*image.getpixel((3, 2))[:-1], 254))
        saved(image, tmp_path / "b.png")
    plain = Image.fromarray(COLOUR).quantize(4).convert("RGB") if mode == "P" else GREY if mode == "LA" else COLOUR
    assert np.array_equal(read(tmp_path / "a.png"), plain)
    refused(tmp_path / "b.png", "has transparent pixels")


@pytest.mark.parametrize(("colour_type", "key"), [(0, b"\0\x07"), (2, b"\0\x01\0\x02\0\x03")])
def test_a_transparent_level_is_refused_where_a_pixel_has_it(tmp_path, colour_type, key):
    levels = bytes([7, 8, 9]) if colour_type == 0 else bytes([1, 2, 3, 4, 5, 6, 7, 8, 9])
    (tmp_path / "a.png").write_bytes(png(levels, 3, 1, 8, colour_type, [(b"tRNS", key)]))
    refused(tmp_path / "a.png", "has transparent pixels")
    (tmp_path / "a.png").write_bytes(png(bytes(10 + i for i in levels), 3, 1, 8, colour_type, [(b"tRNS", key)]))
    assert read(tmp_path / "a.png").size == len(levels)


def lossy_kinds(tmp_path):
    image, alpha = Image.fromarray(COLOUR), Image.fromarray(COLOUR).convert("RGBA")
    alpha.putpixel((0, 0), (1, 2, 3, 4))
    icc = {"icc_profile": b"x" * 10}  # makes an extended file, VP8X
    yield saved(image, tmp_path / "a.jpg"), "JPEG"
    yield saved(image, tmp_path / "a.webp"), "WebP"
    yield saved(image, tmp_path / "b.webp", **icc), "WebP"
    yield saved(alpha, tmp_path / "c.webp"), "WebP"
    yield saved(image, tmp_path / "d.webp", lossless=True), None
    yield saved(image, tmp_path / "e.webp", lossless=True, **icc), None
    yield saved(alpha, tmp_path / "f.webp", lossless=True), None
    for name, compression, kind in (
        ("raw", None, None), ("lzw", "tiff_lzw", None), ("deflate", "tiff_adobe_deflate", None),
        ("packbits", "packbits", None), ("jpeg", "jpeg", "TIFF with JPEG compression"),
    ):  # fmt: skip
        yield saved(image, tmp_path / f"{name}.tif", compression=compression), kind
    for name, lossless in (("webp", False), ("webpl", True)):
        with io.BytesIO() as packed:
            image.save(packed, "webp", lossless=lossless)
            (tmp_path / f"{name}.tif").write_bytes(tiff(packed.getvalue(), 8, 6, (8, 8, 8), 2, 50001))
        yield tmp_path / f"{name}.tif", None if lossless else "TIFF with WebP compression"


def test_lossy_is_told_by_content(tmp_path):
    for file, kind in lossy_kinds(tmp_path):
        assert pictures.header(file).lossy == kind, file
        # the last WebP is transparent, and not every libtiff unpacks WebP
        if kind is None and file.name not in ("f.webp", "webpl.tif"):
            assert np.array_equal(read(file), COLOUR), file
    (tmp_path / "a.jpg").rename(tmp_path / "jpeg.png")
    assert pictures.header(tmp_path / "jpeg.png").lossy == "JPEG"


@pytest.mark.parametrize(("suffix", "lossless"), [(".png", True), (".webp", False), (".webp", True), (".tif", True)])
def test_several_frames_are_refused(tmp_path, suffix, lossless):
    frames = [Image.fromarray(image) for image in pixels(3, 6, 8, 3)]
    options = {"lossless": lossless} if suffix == ".webp" else {}
    refused(
        saved(frames[0], tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], **options), "holds 3 frames"
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"GIF89a\1\0\1\0\0\0\0;", "a GIF"),
        (struct.pack(">I4s4sI4s", 28, b"ftyp", b"avif", 0, b"avif"), "an AVIF"),
        (struct.pack(">I4s4sI4s", 28, b"ftyp", b"heic", 0, b"mif1"), "an HEIF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000"),
        (b"P6\n1 1\n255\nabc", "a PPM"),
        # Pillow would give PostScript to Ghostscript
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n", "a PostScript program"),
    ],
)
def test_a_file_of_another_format_is_named_and_not_handed_on(tmp_path, content, kind):
    (tmp_path / "a.png").write_bytes(content)
    refused(tmp_path / "a.png", f"is {kind}, by content, which is not read")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; replace or remove it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "is a pointer of Git LFS"),
        (b"words", "cannot read the image"),
        (b"\x89PNG\r\n\x1a\n", "cannot read the image"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "cannot read the image"),
        (b"II*\0\x08\0\0\0\0\0", "cannot read the image"),
    ],
)
def test_what_is_no_image(tmp_path, content, sentence):
    (tmp_path / "a.png").write_bytes(content)
    refused(tmp_path / "a.png", sentence)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif"])
def test_a_file_that_ends_early(tmp_path, suffix):
    file = saved(Image.fromarray(pixels(1, 64, 64, 3)[0]), tmp_path / f"a{suffix}")
    file.write_bytes(file.read_bytes()[:-400])
    refused(file, "cannot read the image")


def bombs():
    yield ".png", png(b"\0" * 8, 70_000, 70_000, 8, 0)
    yield ".png", png(b"\0" * 8, 9_000, 8_000, 8, 0)  # as many as Pillow takes without a word
    yield ".tif", tiff(bytes(8), 70_000, 70_000, (8,), 1)
    yield ".bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 70_000, 70_000, 1, 24, 0, 0, 0, 0, 0, 0)
    extended = b"VP8X" + struct.pack("<II", 10, 0) + (16_383).to_bytes(3, "little") * 2
    yield ".webp", b"RIFF" + struct.pack("<I", 4 + len(extended)) + b"WEBP" + extended
    yield ".webp", b"RIFF\x1a\0\0\0WEBPVP8L\x06\0\0\0\x2f" + (16_383 | 16_383 << 14).to_bytes(4, "little") + b"\0"
    frame = b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", 16_383, 16_383)
    yield ".webp", b"RIFF\x1a\0\0\0WEBPVP8 \x0a\0\0\0" + frame


@pytest.mark.parametrize(("suffix", "content"), list(bombs()))
def test_images_are_sized_before_they_are_decoded(tmp_path, suffix, content, recwarn):
    (tmp_path / f"a{suffix}").write_bytes(content)
    refused(tmp_path / f"a{suffix}", "more than the 67,108,864 pixels that are read of one image")
    assert not recwarn.list


def test_a_file_of_more_bytes_than_an_image_takes_is_not_opened(tmp_path):
    with (tmp_path / "a.webp").open("wb") as file:
        file.write(b"RIFF\0\0\0\0WEBPVP8 ")
        file.truncate(2**34)  # takes no room on the disk
    refused(tmp_path / "a.webp", "bytes for more than")


def test_orientation_is_not_applied_and_said(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    images = pixels(3, 6, 8, 3)
    write_pngs(tmp_path, images)
    Image.fromarray(images[1]).save(tmp_path / "0001.png", exif=exif)
    source = of_folder(tmp_path)
    assert np.array_equal(source.whole().transpose(0, 2, 3, 1), images)
    assert source.notes == ("1 images have an EXIF orientation, which is not applied: pixels are taken as stored",)


def test_of_a_jpeg_with_further_pictures_the_first_is_read_and_that_is_said(tmp_path):
    first, second = (Image.fromarray(image) for image in pixels(2, 6, 8, 3))
    first.save(tmp_path / "a.jpg")
    first.save(tmp_path / "b.jpg", "mpo", save_all=True, append_images=[second])
    source = of_folder(tmp_path)
    images = source.whole()
    assert np.array_equal(images[0], images[1])
    assert source.lossy_count == 2
    assert source.notes == ("1 JPEG files hold further pictures, of which the first is read",)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def open_(*_, **__):
        raise PermissionError(13, "Permission denied")  # whom the tests run as may read all

    (tmp_path / "a.png").touch()
    monkeypatch.setattr(type(tmp_path), "open", open_)
    refused(tmp_path / "a.png", "(Permission denied); replace or remove it")


def test_one_lossy_file_among_many_is_named(tmp_path):
    write_pngs(tmp_path, pixels(5, 8, 8, 3))
    Image.fromarray(COLOUR).resize((8, 8)).save(tmp_path / "0003.png", "jpeg")
    source = of_folder(tmp_path)
    assert source.lossy_count == 1
    assert source.lossy_example.endswith("0003.png, JPEG")
