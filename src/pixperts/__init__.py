"""pixperts: repair and enlarge photographs with mixtures of experts."""

__version__ = "0.1.0"
