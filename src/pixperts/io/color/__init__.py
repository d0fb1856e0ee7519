"""Colors of picture files: profiles, codes in numbers, and the way to sRGB."""
