"""Which line of a service's source an entry comes from, as far as the source says it.

The journal does not know. But a handler writes `ctx.run("send email", …)`, so the name of a step, the
handler a call goes to or the key of a state access stands in the source near the method's name. A line
is told only if it is the only one that fits; a name made of pieces, `f"step {i}"`, fits what it can make.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from playground.recording import Entry

_METHODS = {
    "Run": ("run", "run_typed"),
    "Call": ("service_call", "object_call", "workflow_call", "generic_call"),
    "OneWayCall": ("service_send", "object_send", "workflow_send", "generic_send"),
    "Sleep": ("sleep",),
    "Awakeable": ("awakeable",),
    "GetLazyState": ("get",),
    "GetEagerState": ("get",),
    "GetLazyStateKeys": ("state_keys",),
    "GetEagerStateKeys": ("state_keys",),
    "SetState": ("set",),
    "ClearState": ("clear",),
    "ClearAllState": ("clear_all",),
    "GetPromise": ("promise",),
    "PeekPromise": ("promise",),
    "CompletePromise": ("promise",),
    "CompleteAwakeable": ("resolve_awakeable", "reject_awakeable"),
}
_AROUND = 2


@dataclass(frozen=True, slots=True)
class Place:
    """A line of source and those around it.

    Attributes:
        line: its number, from 1.
        first: number of the first of `lines`.
        lines: the lines around it, itself included.
    """

    line: int
    first: int
    lines: tuple[str, ...]


def locate(source: str, target: str, entry: Entry) -> Place | None:
    """The line an entry comes from; None if no line fits, or several do.

    Args:
        source: the revision's source.
        target: what was invoked: "Service/handler", "Object/key/handler".
        entry: one of its entries.
    """
    tree = _parse(source)
    if tree is None:
        return None
    service, *_, handler = target.split("/")
    function = _handler(tree, service, handler)
    if entry.type in ("Input", "Output"):
        return _place(source, function.lineno) if function else None
    # Most steps stand in the handler itself; some in a function it calls.
    for within in filter(None, (function, tree)):
        lines = {call.lineno for call in _calls(within, entry) if _fits(call, entry, tree)}
        if len(lines) == 1:
            return _place(source, lines.pop())
        if lines:
            return None
    return None


@lru_cache(maxsize=8)
def _parse(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        return None


def _place(source: str, line: int) -> Place:
    lines = source.splitlines()
    first = max(1, line - _AROUND)
    return Place(line, first, tuple(lines[first - 1 : line + _AROUND]))


def _handlers(tree: ast.Module) -> Iterator[tuple[str, str, ast.AsyncFunctionDef | ast.FunctionDef]]:
    """(variable of the service, name of the handler, function) of each decorated function."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            call = decorator.func if isinstance(decorator, ast.Call) else decorator
            if not isinstance(call, ast.Attribute) or not isinstance(call.value, ast.Name):
                continue
            name = node.name
            if isinstance(decorator, ast.Call):
                given = [*decorator.args[:1], *(k.value for k in decorator.keywords if k.arg == "name")]
                name = next((str(arg.value) for arg in given if isinstance(arg, ast.Constant)), name)
            yield call.value.id, name, node


def _handler(tree: ast.Module, service: str, handler: str) -> ast.AsyncFunctionDef | ast.FunctionDef | None:
    variables = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for argument in [*node.value.args[:1], *(k.value for k in node.value.keywords if k.arg == "name")]
        if isinstance(argument, ast.Constant) and argument.value == service
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return next((f for variable, name, f in _handlers(tree) if name == handler and variable in variables), None)


def _calls(within: ast.AST, entry: Entry) -> Iterator[ast.Call]:
    methods = _METHODS.get(entry.type, ())
    for node in ast.walk(within):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in methods:
            yield node


def _fits(call: ast.Call, entry: Entry, tree: ast.Module) -> bool:
    if entry.type in (
        "Sleep",
        "Awakeable",
        "ClearAllState",
        "GetLazyStateKeys",
        "GetEagerStateKeys",
        "CompleteAwakeable",
    ):
        return True
    if not call.args:
        return False
    first = call.args[0]
    if entry.type in ("Call", "OneWayCall"):
        return _names_handler(first, entry.target.rsplit("/", 1)[-1], tree)
    return _makes(first, entry.label)


def _names_handler(node: ast.expr, handler: str, tree: ast.Module) -> bool:
    """Whether an expression is the function of that handler, or its name."""
    if isinstance(node, ast.Constant):
        return bool(node.value == handler)
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return any(function.name == name and told == handler for _, told, function in _handlers(tree)) or name == handler


def _makes(node: ast.expr, text: str) -> bool:
    """Whether an expression can be this text: it is, or it is made of pieces that fit."""
    if isinstance(node, ast.Constant):
        return bool(node.value == text)
    if isinstance(node, ast.JoinedStr):
        pieces = [re.escape(str(v.value)) if isinstance(v, ast.Constant) else ".*" for v in node.values]
        return re.fullmatch("".join(pieces), text, re.DOTALL) is not None
    return False
