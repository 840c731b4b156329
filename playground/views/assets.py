"""The front end's files: how plain ES modules become the one text a widget or a page needs.

anywidget loads a widget's code from a single text, where `import "./layout.js"` could not be resolved,
and a standalone page names its script by a hash in its content security policy. So the modules, which
node and a browser can import as they are, are put into one text here: each becomes a function that
returns its exports, and an import becomes a reading of them. What is for readers and for the type checker,
JSDoc, is left out. That is all; nothing is compiled.

The modules keep to two forms, each on its own lines: `import { a, b as c } from "./other.js";` and
`export function|class|const name`. Only the entry module may `export default`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:(?:async )?function\*?|class|const) (\w+))", re.MULTILINE)
_JSDOC = re.compile(r"^[ \t]*/\*\*(?:[^*]|\*(?!/))*\*/[ \t]*\n", re.MULTILINE)


def css(*names: str) -> str:
    """Style sheets from `static`, one after the other."""
    return "\n".join((STATIC / name).read_text("utf-8") for name in names)


@cache
def esm(entry: str) -> str:
    """The text of an entry module from `static`, with all it imports.

    Raises:
        ValueError: a module imports in a form that is not understood here, or in a circle.
    """
    parts: dict[str, str] = {}
    _gather(entry.removesuffix(".js"), parts, ())
    return "\n".join(parts.values())


def _gather(name: str, parts: dict[str, str], importers: tuple[str, ...]) -> None:
    if name in importers:
        raise ValueError(f"modules import each other: {' > '.join((*importers, name))}")
    if name in parts:
        return
    source = _JSDOC.sub("", (STATIC / f"{name}.js").read_text("utf-8"))
    for _, other in _IMPORT.findall(source):
        _gather(other, parts, (*importers, name))
    body = _IMPORT.sub(lambda found: f"const {{{found[1].replace(' as ', ': ')}}} = {_variable(found[2])};", source)
    if strange := re.search(r"^import\b.*", body, re.MULTILINE):
        raise ValueError(f"{name}.js: not understood: {strange[0]}")
    exported = _EXPORT.findall(body)
    body = _EXPORT.sub("", body)
    if importers:
        body = f"const {_variable(name)} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();"
    parts[name] = f"// {name}.js\n{body}"


def _variable(name: str) -> str:
    return "module_" + name.replace("-", "_")
