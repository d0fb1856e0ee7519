"""pixperts in ComfyUI: enlarge to any size, repair, and our files in "Load Upscale Model".

ComfyUI imports this folder from `custom_nodes` and calls `comfy_entrypoint`.
"""

import logging

from comfy_api.latest import ComfyExtension, io

from pixperts.errors import MissingExtraError
from pixperts.integrations import register

from .nodes import PixpertsEnhance, PixpertsRestore, PixpertsUpscale

try:
    register()
except MissingExtraError as error:  # ComfyUI has spandrel; a part of it may not
    logging.getLogger(__name__).warning("'Load Upscale Model' cannot take our files: %s", error)


class PixpertsExtension(ComfyExtension):
    """The nodes of this pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All of them."""
        return [PixpertsUpscale, PixpertsRestore, PixpertsEnhance]


async def comfy_entrypoint() -> ComfyExtension:
    """What ComfyUI calls."""
    return PixpertsExtension()
