"""Whether the installed libvips decodes HEVC, which most builds leave out for its patents."""

import base64
import functools

from pixperts.io.vips import libvips

# A picture of one black pixel: that libvips has a loader for HEIC does not say that it decodes.
_PIXEL = base64.b64decode(
    "AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAXZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA"
    "AAAAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABmgABAAAAAAAAACAAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAA"
    "AAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA9mlwcnAAAADWaXBjbwAAAHFodmNDAQQIAAAAn/gAAAAAHvAA/Pz4"
    "+AAADwNgAAEAF0ABDAH//wQIAAADAJ/4AAADAAAeugJAYQABACZCAQEECAAAAwCf+AAAAwAAHsCCBBZbqrprmwIA"
    "AAMAMgAAAwACEGIAAQAGRAHBc8GJAAAAE2NvbHJuY2x4AAEADQAGgAAAABRpc3BlAAAAAAAAAEAAAABAAAAAKGNs"
    "YXAAAAABAAAAAQAAAAEAAAAB////wQAAAAL////BAAAAAgAAAA5waXhpAAAAAAEIAAAAGGlwbWEAAAAAAAAAAQAB"
    "BYECAwWEAAAAKG1kYXQAAAAcKAGuCiQkGcDhnoA/9bdzylCzhNKQp7VBQJa1Aw=="
)


@functools.cache
def has_hevc() -> bool:
    """Found out once, by decoding a pixel."""
    try:
        libvips().Image.heifload_buffer(_PIXEL).avg()
    except libvips().Error:
        return False
    return True
