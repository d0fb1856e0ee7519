"""What a person saw in the repairs of real photos (docs/results.md), by folder and name."""

# Of these the licence is known: Lincoln is a photo by Alexander Gardner, 1863, public domain.
SHOWN = ("mixed/Lincoln",)

REMARKS: dict[str, str] = {}
