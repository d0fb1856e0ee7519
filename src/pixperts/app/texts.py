"""What the page says of itself."""

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
- know whether a slightly dark photo is meant that way: it stays, unless *Tone* is set to *on*;
- remove dust and scratches reliably. Lower the strength if a repair does too much.

Repair was trained on synthetic damage. A trial sees only its part, so the result for the whole
picture may differ a little.
"""

FOR_PROGRAMS = """
The page also has an HTTP interface; the link *Use via API* below lists the fields of `process`.

```python
from gradio_client import Client, handle_file

client = Client("http://127.0.0.1:7860")  # auth=("name", "password") if the page requires them
files, report = client.predict(
    files=[handle_file("photo.jpg")], work="both", size="2.5", api_name="/process"
)
```

With curl: POST the file to `/gradio_api/upload`, POST `{"data": [...]}` with all fields in order to
`/gradio_api/call/process`, and read the result from `/gradio_api/call/process/EVENT_ID`. For many
pictures, use the command line: `pixperts restore` and `pixperts upscale`.
"""
