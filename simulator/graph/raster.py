"""A picture as PNG: the drawing in SVG, rendered by resvg with a font of its own, so that it is the same anywhere."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from chain.errors import InputError

ZOOM = 2.0
"""Pixels for each unit of the drawing."""
_FONT, _STYLES = "font_roboto", ("Roboto-Regular.ttf", "Roboto-Bold.ttf")


def png(svg: str) -> bytes:
    """Render a drawing; nothing but what it says is read, and no font of the machine.

    Raises
    ------
    InputError
        If what renders it is not installed.
    """
    font = find_spec(_FONT)
    try:
        import resvg_py
    except ImportError:
        font = None
    if font is None or font.origin is None:
        raise InputError("a PNG needs resvg-py and font-roboto: pip install 'unwind-defi[png]', or write .svg instead")
    folder = Path(font.origin).parent / "files"
    rendered = resvg_py.svg_to_bytes(
        svg_string=svg,
        zoom=ZOOM,
        skip_system_fonts=True,
        font_files=[str(folder / style) for style in _STYLES],
        font_family="Roboto",
        sans_serif_family="Roboto",
    )
    return bytes(rendered)
