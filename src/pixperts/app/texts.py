"""What the page says of itself."""

HEADER = """
# pixperts
Repair a bad photo, or enlarge one to any size. **Your photos stay on the computer that runs this
page:** nothing is sent anywhere else, and nothing is loaded from elsewhere.
"""

ABOUT = """
**It can**

- repair noise, grain, compression, rain, snow and straight motion blur, and darkness and haze where
  it is sure; nobody has to say what is wrong;
- enlarge to any factor or size, sharper than a viewer would, also photos that were compressed;
- keep color profile, EXIF, transparency and 16 bits: *download the files*, because what you see
  here is only a preview.

**It cannot**

- invent what the photo does not show: letters that nobody can read stay unreadable, and faces get
  no new features;
- undo a shake that was not straight, or a focus that missed by much;
- know whether a photo that is a little dark is meant so: it stays, unless *Tone* is set to *on*;
- remove dust and scratches reliably. Lower the strength where a repair does too much.

Repair was trained on faults that were made by a computer. A trial looks at its part alone, so the
whole picture may be judged a little differently.
"""

FOR_PROGRAMS = """
The page is an HTTP interface, too; the link *Use via API* below lists the fields of `process`.

```python
from gradio_client import Client, handle_file

client = Client("http://127.0.0.1:7860")  # auth=("name", "password") where the page wants them
files, report = client.predict(
    files=[handle_file("photo.jpg")], work="both", size="2.5", api_name="/process"
)
```

With curl: POST the file to `/gradio_api/upload`, POST `{"data": [...]}` with all fields in order to
`/gradio_api/call/process`, and read the result from `/gradio_api/call/process/EVENT_ID`. For many
pictures the command line is the better way: `pixperts restore` and `pixperts upscale`.
"""
