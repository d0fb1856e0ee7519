"""Videos in a run over files: frames through the path of pictures, segment by segment."""
