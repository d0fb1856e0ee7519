"""Photos and pairs to train and measure on: read from folders, packs and published sets."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.data.benchmarks import SuperResolutionSet
    from pixperts.data.checking import DataReport
    from pixperts.data.layouts import read_task_set
    from pixperts.data.packing import pack_pairs, pack_photos
    from pixperts.data.pairs import Pair, match_folders
    from pixperts.data.photos import PhotoSource, load_photos
    from pixperts.data.restoration import FilePairs, SyntheticPairs
    from pixperts.data.super_resolution import ArbitraryScale
else:
    __getattr__ = attach(
        __name__,
        {
            "benchmarks": ["SuperResolutionSet"],
            "checking": ["DataReport"],
            "layouts": ["read_task_set"],
            "packing": ["pack_pairs", "pack_photos"],
            "pairs": ["Pair", "match_folders"],
            "photos": ["PhotoSource", "load_photos"],
            "restoration": ["FilePairs", "SyntheticPairs"],
            "super_resolution": ["ArbitraryScale"],
        },
    )

__all__ = [
    "ArbitraryScale",
    "DataReport",
    "FilePairs",
    "Pair",
    "PhotoSource",
    "SuperResolutionSet",
    "SyntheticPairs",
    "load_photos",
    "match_folders",
    "pack_pairs",
    "pack_photos",
    "read_task_set",
]
