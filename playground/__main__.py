"""`python -m playground`: set up, maintain and check a checkout of the project.

Each command imports what it needs when it runs, so that `--help` is quick. An error that a learner can act on is
printed without a traceback, and ends the program with status 1.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from playground.cli.cluster import app as cluster
from playground.errors import PlaygroundError, SetupError

app = typer.Typer(
    name="python -m playground",
    help="Durable execution you can see: a playground for Restate and Knative.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cluster, name="cluster")
out = Console(highlight=False, soft_wrap=True)
ROOT = Path(__file__).parents[1]
START = ROOT / "notebooks" / "00-start-here.ipynb"


@app.command()
def doctor(
    with_cluster: Annotated[
        bool, typer.Option("--cluster", help="Also check what a Kubernetes cluster on this machine needs.")
    ] = False,
) -> None:
    """Check this machine; say what is missing and how to fix it. Status 1 if something is missing."""
    from playground.cli.doctor import run_checks, table
    from playground.runtime.opening import asked_for

    checks = run_checks(cluster=with_cluster or asked_for() == "knative")
    Console(highlight=False).print(table(checks))
    failed = [check.name for check in checks if check.ok is False]
    out.print(f"\n{'These need a fix: ' + ', '.join(failed) if failed else 'Nothing stands in the way of a lesson.'}")
    raise typer.Exit(1 if failed else 0)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    server: Annotated[
        bool, typer.Option(help="--no-server: start without a Restate server; recordings can still be read.")
    ] = True,
) -> None:
    """Open JupyterLab on the first notebook. Options after `--` are passed to JupyterLab: `-- --no-browser`."""
    import importlib.util

    from playground.backends.local.binary import find_server

    if importlib.util.find_spec("jupyterlab") is None:
        raise SetupError("JupyterLab is not installed.", f"{sys.executable} does not have it.", "make lab")
    if server and os.environ.get("PLAYGROUND_BACKEND", "local") == "local":
        find_server()
    if not START.exists():
        raise SetupError("The first notebook is missing.", f"{START} does not exist.", "git checkout notebooks")
    # Defaults for its settings, such as not asking about news. The learner's own settings take precedence.
    paths = [str(Path(__file__).parent / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    out.print("JupyterLab is starting; its address follows. Press Ctrl-C twice to end it and all kernels.")
    sys.stdout.flush()
    # This process becomes JupyterLab, so Ctrl-C, signals and the exit status are JupyterLab's own.
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *lab_options(), *context.args])


def lab_options() -> list[str]:
    """JupyterLab for one learner on one machine: on loopback, on a free port, and without using the network."""
    options = [
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0",
        f"--ServerApp.root_dir={ROOT}",
        f"--LabApp.default_url=/lab/tree/{START.relative_to(ROOT)}",
        "--LabApp.extension_manager=readonly",
        "--KernelManager.transport_encryption=auto",  # otherwise every kernel warns that it has none
    ]
    if os.geteuid() == 0:
        options.append("--ServerApp.allow_root=True")  # in a container; the token is still required
    return options


@app.command()
def notebooks(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Notebooks to execute; by default all. The start of a name is enough: 03."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing, and compare with nbval.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Also redraw pictures beside unchanged text.")] = False,
) -> None:
    """Execute the notebooks in fresh kernels and refresh their committed outputs."""
    import time

    from playground.cli import notebooks as lessons

    paths = lessons.find(names or [])
    if check:
        raise typer.Exit(lessons.check(paths))
    for path in paths:
        started = time.monotonic()
        changed = lessons.refresh(path, fresh=fresh)
        out.print(f"{path.name}: {'changed' if changed else 'as committed'} ({time.monotonic() - started:.1f} s)")
    lessons.refresh_glossary()


@app.command()
def server(
    fetch: Annotated[bool, typer.Option("--fetch", help="Download it if it is missing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Say where the Restate server is, which version it has, and how it was found."""
    from playground.backends.local.binary import find_server

    binary = find_server(fetch=fetch)
    if as_json:
        facts = {"path": str(binary.path), "version": binary.version, "source": binary.source, "notes": binary.notes}
        typer.echo(json.dumps(facts))
        return
    out.print(f"restate-server {binary.version}: {binary.path}\nfound by: {binary.source}")
    for note in binary.notes:
        out.print(f"skipped: {note}")


@app.command()
def clean(
    keep_server: Annotated[bool, typer.Option("--keep-server", help="Keep the downloaded server.")] = False,
) -> None:
    """Remove the downloaded server, and the data of playgrounds that no longer exist."""
    from playground.backends.local.leftovers import data_dirs, tree_size
    from playground.core.paths import cache_dir

    directories = data_dirs()
    alive = [directory.path for directory in directories if directory.alive]
    doomed = [(directory.path, directory.size) for directory in directories if not directory.alive]
    if not keep_server and cache_dir().exists():
        if alive:
            out.print(f"kept, because a playground may be using it: {cache_dir()}")
        else:
            doomed.append((cache_dir(), tree_size(cache_dir())))
    for path in alive:
        out.print(f"kept, because a playground is using it: {path}")
    for path, size in doomed:
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise PlaygroundError(f"{path} could not be removed.", str(error), f"rm -r {path}") from error
        out.print(f"removed: {path} ({size / 1e6:.1f} MB)")
    if not doomed:
        out.print("Nothing to remove.")


def main() -> None:
    """Run the command line. A PlaygroundError ends it with a message and status 1."""
    try:
        app()
    except PlaygroundError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(Text(str(error)))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
