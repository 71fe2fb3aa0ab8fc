"""The fast form of the rules: the same source compiled to float64, and cached on disk.

numba checks only the file of the outermost function for changes, so a cached loop would go on running an old
rule after an edit elsewhere. The cache folder is therefore named by a hash of every source that can be compiled.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from protocols.arithmetic import COMPILED_AS, FLOAT_FORMS

_PACKAGES = ("protocols", "simulator")
_known: set[Callable[..., Any]] = set()


def source_hash() -> str:
    """Hash of every Python source of the packages that hold rules and compiled loops."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def numba() -> Any:
    """The numba module, its cache placed where it can be written and where no stale rule survives."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    name = f"{source_hash()}-{hashlib.sha256(sys.version.encode()).hexdigest()[:8]}"
    if chosen is None or Path(chosen).name != name:
        from platformdirs import user_cache_path

        folder = (Path(chosen) if chosen else user_cache_path("unwind") / "compiled") / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError:
            folder = Path(tempfile.mkdtemp(prefix="unwind-compiled-"))
        os.environ["NUMBA_CACHE_DIR"] = str(folder)
    import numba as module

    config: Any = module.config
    config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]
    return module


@cache
def fast(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile a rule, or a loop that calls rules, to float64.

    Parameters
    ----------
    function
        A function marked with :func:`protocols.arithmetic.rule`, or any function numba can compile that calls such.
    options
        Passed to ``numba.njit``; ``cache=True`` unless said otherwise.
    """
    nb = numba()
    from numba.extending import overload, register_jitable

    for exact, form in FLOAT_FORMS.items():
        if exact in _known:
            continue
        _known.add(exact)
        if form is exact:
            options_of = COMPILED_AS.get(exact)
            (register_jitable(**options_of) if options_of else register_jitable)(exact)
        else:
            overload(exact, strict=False)(lambda *_, _form=form: _form)
    compiled: Callable[..., Any] = nb.njit(**({"cache": True} | options))(function)
    return compiled
