"""What the page says of itself."""

from pixperts.defaults import DEFAULT_ENHANCE_MODEL

HEADER = """
# pixperts
Repair a bad photo, or enlarge one to any size. **Your photos stay on the computer that runs this
page:** nothing is sent to other computers, and nothing is loaded from them.
"""

ABOUT = """
**It can**

- repair noise, grain, compression, rain, snow and straight motion blur, and darkness and haze where
  it is sure; you do not have to say what is wrong;
- enlarge to any factor or size, more sharply than a viewer does, also if photos were compressed;
- keep color profile, EXIF, transparency and 16 bits: *download the files*, because what you see
  here is only a preview.

**It cannot**

- invent what the photo does not show: unreadable letters stay unreadable, and faces get no new
  features;
- undo blur from a movement that was not straight, or from a wrong focus;
- know whether a slightly dark photo is meant that way: it stays, unless *Darkness and haze* is
  set to *on*;
- remove dust and scratches by itself: set *Dust and scratches* to 1. Large and faint marks stay.

Lower the strength if a repair does too much. Repair was trained on synthetic damage. A trial sees
only its part, so the result for the whole picture may differ a little.
"""

FOR_PROGRAMS = """
The page also has an HTTP interface; the link *Use via API* below lists the fields of `process`.

```
from gradio_client import Client, handle_file

client = Client("http://127.0.0.1:7860")  # auth=("name", "password") if the page requires them
files, report = client.predict(
    files=[handle_file("photo.jpg")], work="both", size="2.5", api_name="/process"
)
```

With curl: POST the file to `/gradio_api/upload`, POST `{"data": [...]}` with all fields in order to
`/gradio_api/call/process`, and read the result from `/gradio_api/call/process/EVENT_ID`. For many
pictures, use the command line: `pixperts restore`, `pixperts upscale` and `pixperts enhance`.
"""

# Labels of options, and what they do, for people who do not know the command line.
ONE_FOR_BOTH = (
    f"While neither model is changed, {DEFAULT_ENHANCE_MODEL} repairs and enlarges in one pass."
)

WORDS = {
    "strength": ("Strength of the repair", "1: all of it. 0: none. In between: a blend."),
    "denoise": ("Noise", "1: remove all of it. 0: leave it (moce-ir-light)."),
    "jpeg": ("Traces of compression", "1: remove all of them. 0: leave them (moce-ir-light)."),
    "tone": (
        "Darkness and haze",
        "Undo them where they are certain (auto), never (off) or always (on) (moce-ir-light).",
    ),
    "dust": (
        "Dust and scratches",
        "1: remove them, for scans of prints and film. Stars and white dots go, too. 0: leave "
        "them (moce-ir-light).",
    ),
    "color_fix": (
        "Keep colors",
        "Give the result the mean color of the photo (mean), or its colors area by area (wavelet).",
    ),
    "budget": (
        "Budget",
        "How much to compute, from 0 (fast) to 1 (best). Empty: the model decides.",
    ),
    "only_enlarge": ("Only enlarge", "Leave photos alone that would become smaller."),
    "quality": ("Quality of JPEG and other lossy files", "1 to 100. Empty: no visible loss."),
    "lossless": ("Without any loss", "For WebP, AVIF and similar files, which become larger."),
    "color": ("Color profile", "Keep that of the photo (keep), or convert to sRGB (srgb)."),
    "strip_metadata": (
        "Remove EXIF and other texts",
        "Such as date, place and camera. The color profile stays.",
    ),
    "page": (
        "Page",
        "Of files with several pages or frames: a number, or all. Empty: the first one.",
    ),
    "strict": ("Refuse damaged photos", "JPEG and PNG files of which the end is missing."),
    "name": (
        "Names of the results",
        "For example {stem}_{width}. Also: name, suffix, ext, model, scale, height, index. Empty: "
        "the name of the photo, and what was done.",
    ),
    "format": ("Format of the results", ""),
}
