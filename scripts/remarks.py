"""What a person saw in the repairs of real photos (docs/results.md), by folder and name."""

# Of these the license is known: Lincoln is a photo by Alexander Gardner, 1863, public domain.
SHOWN = ("mixed/Lincoln",)

SUMMARY = (
    "In short: 13 of 15 dark rooms become bright, with the color noise of the darkest still in "
    "them; strong noise and grain go. Of the 25 mixed ones 18 come back untouched or nearly so: "
    "sharp pictures as they should, but JPEG noise, a phone's grain, old prints and halos of "
    "sharpening as well. Two are harmed: fog behind branches is cleared far too much, and the "
    "gloss of small parts is dimmed."
)
_LIGHT = "Dark before, bright after; "
_SAME = "Nothing to see, nothing changed."
_LEFT = "Left as it was: "

REMARKS: dict[str, str] = {
    "low_light/1": _LIGHT + "books and glass doors appear, the white board is light blue.",
    "low_light/111": "Brighter, all is clear, but still dim and gray: about half of what it needs.",
    "low_light/146": _LIGHT + "clothes in their colors, the wall close to white.",
    "low_light/179": _LIGHT + "the tassels' colors are good, the wood too pink.",
    "low_light/22": _LIGHT + "good colors; noise stays in the shadows at the left.",
    "low_light/23": _LIGHT + "coarse color noise all over the shadows: this was the darkest.",
    "low_light/493": _LIGHT + "strong in contrast: shadows stay black, whites are bluish.",
    "low_light/547": _LIGHT + "the writing can be read, colors are good.",
    "low_light/55": _LIGHT + "red and green specks of noise stay in all dark parts.",
    "low_light/665": _LIGHT + "the yellow-green light of the room stays, and so does the noise.",
    "low_light/669": _LIGHT + "lanes and pins are clear.",
    "low_light/748": _LEFT + "**dark**. Lit digits and lamps make it a night scene.",
    "low_light/778": _LIGHT + "the seats appear, the hall's far side is black with specks.",
    "low_light/780": _LEFT + "**dark**, with bright windows.",
    "low_light/79": _LIGHT + "pots and panes are clear, whites grayish, noise in the panes.",
    "mixed/00003": "**Wrong**: fog behind branches is taken for haze; the branches turn black with "
    "colored rims, and noise comes up in the sky.",
    "mixed/0014": "The dots of JPEG along the lines go, the lines stay.",
    "mixed/0030": _LEFT + "JPEG noise along the lines stays.",
    "mixed/ADE_val_00000114": "JPEG noise in the sky and the sea goes.",
    "mixed/Lincoln": _SAME,
    "mixed/OST_009": "The finest bricks are a little softer; the halos of sharpening stay.",
    "mixed/building": "The noise goes; dark parts are a little smeared, blurred light stays.",
    "mixed/butterfly": "Nothing changed; the white spots of the wing stay white.",
    "mixed/butterfly2": "Halos and specks along the edges go; the white spots stay white.",
    "mixed/chip": _LEFT + "JPEG blocks stay.",
    "mixed/comic1": "Edges are a little sharper; blocks and halos stay.",
    "mixed/comic2": _SAME,
    "mixed/comic3": _SAME,
    "mixed/computer": _SAME,
    "mixed/dog": "The strong grain goes, fur and leather stay; the finest hair is softer.",
    "mixed/dped_crop00061": _LEFT + "a phone's photo, grain and blur stay.",
    "mixed/foreman": _LEFT + "the old film's look stays.",
    "mixed/frog": "Strong noise goes, and the frog stays sharp: what it was trained for.",
    "mixed/oldphoto2": _LEFT + "the paper's grain stays.",
    "mixed/oldphoto3": _LEFT + "the raster of the print stays.",
    "mixed/oldphoto6": _LEFT + "the grain stays.",
    "mixed/painting": "The paper's grain goes, the brush strokes stay: smoother than it should be.",
    "mixed/pattern": "Chroma noise goes, lines stay sharp.",
    "mixed/ppt3": _SAME,
    "mixed/tiger": "The finest hair is a little softer.",
}
