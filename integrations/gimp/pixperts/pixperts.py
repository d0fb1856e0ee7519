#!/usr/bin/env python3
"""pixperts in GIMP 3: Filters > Enhance > Upscale / Restore with pixperts.

GIMP's Python has no torch, so the installed command does the work, on a temporary TIFF of 16 bits.
Upscaling opens a new image; restoring adds a layer on top. PIXPERTS_COMMAND names the command where
it is not on the path that GIMP sees.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
from gi.repository import Gimp, GimpUi, Gio, GLib, GObject  # noqa: E402

UPSCALE, RESTORE = "plug-in-pixperts-upscale", "plug-in-pixperts-restore"
LABELS = {UPSCALE: "_Upscale with pixperts...", RESTORE: "_Restore with pixperts..."}


def run_command(arguments: list[str]) -> str | None:
    """Run pixperts; its sentence where it fails, else None."""
    command = os.environ.get("PIXPERTS_COMMAND") or shutil.which("pixperts")
    if command is None:
        return "The command 'pixperts' was not found: install it, or set PIXPERTS_COMMAND."
    # A window of its own would open on Windows.
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    try:
        done = subprocess.run(
            [command, *arguments], capture_output=True, text=True, check=False, creationflags=flags
        )
    except OSError as error:
        return f"{command} could not be started ({error.strerror})."
    return None if done.returncode == 0 else done.stderr.strip() or "pixperts failed."


def save_visible(image: Any, path: str) -> None:
    """What is seen of an image, as a TIFF of 16 bits; the image stays as it is."""
    copy = image.duplicate()
    try:
        copy.merge_visible_layers(Gimp.MergeType.CLIP_TO_IMAGE)
        copy.convert_precision(Gimp.Precision.U16_NON_LINEAR)
        Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, copy, Gio.File.new_for_path(path), None)
    finally:
        copy.delete()


def add_layer(image: Any, path: str) -> None:
    """A picture of the same size as the top layer, in one step of the history."""
    image.undo_group_start()
    try:
        file = Gio.File.new_for_path(path)
        layer = Gimp.file_load_layer(Gimp.RunMode.NONINTERACTIVE, image, file)
        layer.set_name("restored by pixperts")
        image.insert_layer(layer, None, 0)
    finally:
        image.undo_group_end()


def work(name: str, image: Any, config: Any) -> str | None:
    """Do one of the two; the sentence of a failure, else None."""
    with tempfile.TemporaryDirectory(prefix="pixperts-") as folder:
        source, target = (os.path.join(folder, f"{word}.tif") for word in ("in", "out"))
        save_visible(image, source)
        if name == UPSCALE:
            line = ["upscale", source, "-o", target, "--scale", f"{config.get_property('scale'):g}"]
        else:
            strength = f"{config.get_property('strength'):g}"
            line = ["restore", source, "-o", target, "--strength", strength]
        failure = run_command([*line, "--quiet"])
        if failure is not None:
            return failure
        if name == UPSCALE:
            mode = Gimp.RunMode.NONINTERACTIVE
            Gimp.Display.new(Gimp.file_load(mode, Gio.File.new_for_path(target)))
        else:
            add_layer(image, target)
            Gimp.displays_flush()
    return None


def run(procedure: Any, run_mode: Any, image: Any, drawables: Any, config: Any, data: Any) -> Any:
    """What GIMP calls: a dialog where somebody is there, then the work."""
    name = procedure.get_name()
    if run_mode == Gimp.RunMode.INTERACTIVE:
        GimpUi.init("pixperts")
        dialog = GimpUi.ProcedureDialog.new(procedure, config, "pixperts")
        dialog.fill(None)
        agreed = dialog.run()
        dialog.destroy()
        if not agreed:
            return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
    Gimp.progress_init("pixperts is working")
    failure = work(name, image, config)
    if failure is not None:
        error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), failure, 0)
        return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)


class Pixperts(Gimp.PlugIn):
    """Two entries of the menu."""

    def do_set_i18n(self, name: str) -> bool:
        """English only."""
        return False

    def do_query_procedures(self) -> list[str]:
        """Both."""
        return [UPSCALE, RESTORE]

    def do_create_procedure(self, name: str) -> Any:
        """One of them, with its option."""
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, run, None)
        procedure.set_image_types("RGB*, GRAY*")
        procedure.set_menu_label(LABELS[name])
        procedure.add_menu_path("<Image>/Filters/Enhance")
        procedure.set_documentation(__doc__, None, name)
        procedure.set_attribution("pixperts", "pixperts", "2026")
        flags = GObject.ParamFlags.READWRITE
        if name == UPSCALE:
            procedure.add_double_argument("scale", "_Scale", "Factor", 1.0, 16.0, 2.0, flags)
        else:
            hint = "0 = as it is, 1 = as repaired"
            procedure.add_double_argument("strength", "_Strength", hint, 0.0, 1.0, 1.0, flags)
        return procedure


if __name__ == "__main__":
    Gimp.main(Pixperts.__gtype__, sys.argv)
