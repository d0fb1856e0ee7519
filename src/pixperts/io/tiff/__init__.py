"""TIFF: its directories, its pages, and kinds that libvips takes for something else."""
