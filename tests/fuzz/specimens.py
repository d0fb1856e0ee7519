"""Small sound files of every readable format, with all that a file may carry, to be damaged."""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from PIL import Image, PngImagePlugin

from pixperts.io.image import write_image
from pixperts.io.metadata.metadata import Metadata
from tests.helpers import photo_files as files


def _pillow(pixels: Any, kind: str, mode: str | None = None, **options: Any) -> bytes:
    image = Image.fromarray(pixels)
    if mode is not None:
        image = image.convert(mode)
    handle = io.BytesIO()
    image.save(handle, kind, **options)
    return handle.getvalue()


def _texts() -> PngImagePlugin.PngInfo:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "A view")
    texts.add_text("Long", "words " * 300, zip=True)
    texts.add_itxt("Author", "Łukasz", zip=True)
    texts.add_itxt("XML:com.adobe.xmp", files.XMP.decode())
    return texts


def _png_files() -> dict[str, bytes]:
    grey16 = (files.gradient(40, 56, 1)[..., 0].astype(np.uint16) * 257).astype(np.uint16)
    rgba = files.gradient(40, 56, 4)
    said: dict[str, Any] = {"pnginfo": _texts(), "exif": files.exif(6, True)}
    said["icc_profile"] = files.srgb_profile()
    found = {
        "rgb.png": _pillow(files.gradient(), "png", **said),
        "rgba.png": _pillow(rgba, "png"),
        "grey16.png": _pillow(grey16, "png", pnginfo=_texts()),
        "bits.png": _pillow(files.gradient(), "png", "1"),
        "palette.png": _pillow(files.gradient(), "png", "P", transparency=b"\x80\x40"),
    }
    for name, pixels in (("rgb", files.gradient(33, 41)), ("rgba", rgba)):
        image = pyvips.Image.new_from_array(pixels)
        found[f"laced-{name}.png"] = image.pngsave_buffer(interlace=True)
    deep = pyvips.Image.new_from_array(files.gradient().astype(np.uint16) * 257)
    found["laced16.png"] = deep.copy(interpretation="rgb16").pngsave_buffer(interlace=True)
    return found


def _jpeg_files(folder: Path) -> dict[str, bytes]:
    photo = files.write_photo(folder / "photo.jpg").read_bytes()
    icc = files.vips_profile("cmyk")
    return {
        "photo.jpg": photo,
        "progressive.jpg": _pillow(
            files.gradient(40, 56), "jpeg", progressive=True, exif=files.exif(3), xmp=files.XMP
        ),
        "grey.jpg": _pillow(files.gradient(), "jpeg", "L", restart_marker_blocks=2),
        "cmyk.jpg": _pillow(files.gradient(), "jpeg", "CMYK", icc_profile=icc[:60000]),
    }


def _tiff_files(folder: Path) -> dict[str, bytes]:
    colour = pyvips.Image.new_from_array(files.gradient(48, 64))
    deep = (colour.cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    unit = (colour / 255.0).cast("float").copy(interpretation="scrgb")
    plain: dict[str, tuple[Any, dict[str, Any]]] = {
        "strips.tif": (colour, {"compression": "none"}),
        "lzw.tif": (colour, {"compression": "lzw", "predictor": "horizontal"}),
        "deflate16.tif": (deep, {"compression": "deflate"}),
        "tiles.tif": (
            colour,
            {"compression": "deflate", "tile": True, "tile_width": 16, "tile_height": 16},
        ),
        "pyramid.tif": (
            colour,
            {"pyramid": True, "tile": True, "tile_width": 16, "tile_height": 16},
        ),
        "float.tif": (unit, {"compression": "deflate", "predictor": "float"}),
        "big.tif": (colour, {"compression": "lzw", "bigtiff": True}),
        "jpeg.tif": (colour, {"compression": "jpeg", "Q": 90}),
    }
    found = {
        name: image.tiffsave_buffer(profile="srgb", **options)
        for name, (image, options) in plain.items()
    }
    said = Metadata(
        icc=files.srgb_profile(),
        exif=files.exif(6)[6:],
        xmp=files.XMP,
        iptc=files.IPTC,
        dpi=(300.0, 240.0),
    )
    path = write_image(folder / "all.tif", files.gradient(), metadata=said, software="x")
    found["all.tif"] = path.read_bytes()
    tags: dict[int, Any] = {270: "A view", 271: "Maker", 306: "2024:01:02 03:04:05"}
    handle = io.BytesIO()
    pages = [Image.fromarray(files.gradient(32, 32)), Image.fromarray(files.gradient(20, 50))]
    pages[0].save(handle, "tiff", save_all=True, append_images=pages[1:], tiffinfo=tags)
    found["pages.tif"] = handle.getvalue()
    for name, mode in (("bits.tif", "1"), ("palette.tif", "P"), ("cmyk.tif", "CMYK")):
        found[name] = _pillow(files.gradient(), "tiff", mode)
    found["fax.tif"] = _pillow(files.gradient(), "tiff", "1", compression="group4")
    return found


def specimens() -> dict[str, bytes]:
    """File name to content; the name's ending is that of the format."""
    said: dict[str, Any] = {"exif": files.exif(8, True), "xmp": files.XMP}
    said["icc_profile"] = files.srgb_profile()
    rgba = files.gradient(channels=4)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = _jpeg_files(folder) | _png_files() | _tiff_files(folder)
        full = Metadata(icc=files.srgb_profile(), exif=files.exif(1)[6:], xmp=files.XMP)
        for label, pixels in (("rgb", files.gradient()), ("deep", rgba.astype(np.uint16) * 257)):
            path = write_image(folder / f"{label}.avif", pixels, metadata=full)
            found[path.name] = path.read_bytes()
    found["lossy.webp"] = _pillow(files.gradient(), "webp", quality=90, **said)
    found["lossless.webp"] = _pillow(rgba, "webp", lossless=True, **said)
    found["alpha.webp"] = _pillow(rgba, "webp", quality=60)
    frames = [Image.fromarray(files.gradient()[..., ::step]) for step in (1, -1)]
    for kind in ("gif", "webp"):
        handle = io.BytesIO()
        frames[0].save(handle, kind, save_all=True, append_images=frames[1:], duration=50)
        found[f"moving.{kind}"] = handle.getvalue()
    found["plain.gif"] = _pillow(files.gradient(40, 50), "gif", interlace=1)
    return found
