"""What a person saw in the repairs of real photos (docs/results.md), by folder and name."""

# Of these the license is known: Lincoln is a photo by Alexander Gardner, 1863, public domain.
SHOWN = ("mixed/Lincoln",)

SUMMARY = ""
_LIGHT = "Dark before, bright after; "
_SAME = "Nothing to see: it is left as it was."

REMARKS: dict[str, str] = {
    "low_light/1": _LIGHT + "books and glass doors appear, the white board turns bluish.",
    "low_light/111": _LIGHT + "all is clear, colors pale.",
    "low_light/146": _LIGHT + "clothes in their colors, the wall is close to white.",
    "low_light/179": _LIGHT + "the tassels' colors are good, the wood too pink.",
    "low_light/22": _LIGHT + "all is there, a little green.",
    "low_light/23": _LIGHT + "greenish and blotchy: this was the darkest.",
    "low_light/493": _LIGHT + "bluish, the shadows stay black.",
    "low_light/547": _LIGHT + "the writing can be read; yellowish.",
    "low_light/55": _LIGHT + "the boxes appear, the cupboard's corners stay dark.",
    "low_light/665": _LIGHT + "the yellow-green light of the room stays.",
    "low_light/669": _LIGHT + "lanes and pins are clear.",
    "low_light/748": _LIGHT + "the red digits burn out a little.",
    "low_light/778": _LIGHT + "the seats appear, the hall's far side stays darker.",
    "low_light/780": _LIGHT + "the floor stays dark blue.",
    "low_light/79": _LIGHT + "pots and panes are clear, whites grayish.",
    "mixed/00003": _SAME,
    "mixed/0014": "JPEG blocks in flat parts are softer, those along lines stay.",
    "mixed/0030": "JPEG noise along the lines stays.",
    "mixed/ADE_val_00000114": _SAME,
    "mixed/Lincoln": _SAME,
    "mixed/OST_009": "A little of the grain goes, with some of the bricks' texture.",
    "mixed/building": "A part of the noise goes, blurred light stays blurred.",
    "mixed/butterfly": "**Wrong**: some white spots of the wing turn gray, taken for snow.",
    "mixed/butterfly2": "**Wrong**: several white spots turn gray, taken for snow.",
    "mixed/chip": "JPEG blocks stay.",
    "mixed/comic1": "Blocks are a little softer, halos stay.",
    "mixed/comic2": _SAME,
    "mixed/comic3": _SAME,
    "mixed/computer": _SAME,
    "mixed/dog": "Noise in blots of several pixels is a little softer; most of it stays.",
    "mixed/dped_crop00061": "A phone's photo: the grain is a little softer, the blur stays.",
    "mixed/foreman": "A little smoother; the old film's look stays.",
    "mixed/frog": "Strong noise goes, and the frog stays sharp: what it was trained for.",
    "mixed/oldphoto2": "The paper's grain stays.",
    "mixed/oldphoto3": "The raster of the print is a little softer.",
    "mixed/oldphoto6": _SAME,
    "mixed/painting": _SAME,
    "mixed/pattern": "Chroma noise goes, lines stay sharp.",
    "mixed/ppt3": _SAME,
    "mixed/tiger": _SAME,
}
