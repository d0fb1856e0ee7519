"""How the page looks: gradio's theme with the system's fonts, and colors that can be read."""

from pathlib import Path

import gradio as gr

_ASSETS = Path(__file__).parent / "assets"
CSS = (_ASSETS / "page.css").read_text(encoding="utf-8")
JS = (_ASSETS / "page.js").read_text(encoding="utf-8")


def make_theme() -> gr.themes.Base:
    """The theme; no font is loaded from elsewhere."""
    return gr.themes.Default(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        block_label_text_color="*neutral_800",
        block_title_text_color="*neutral_800",
        block_info_text_color="*neutral_700",
        body_text_color_subdued="*neutral_700",
        # Gradio's own borders of boxes and fields can hardly be seen on a dark screen.
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        input_border_color="*neutral_400",
        input_border_color_dark="*neutral_500",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
    )
