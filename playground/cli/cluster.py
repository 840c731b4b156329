"""`python -m playground cluster …`: make, look at, fill and remove what the Kubernetes backend runs on.

A command that fails or is interrupted leaves nothing to clean up by hand: the same command goes on where it
was, and `delete` removes what there is, half-made or whole.
"""

from __future__ import annotations

import asyncio
import functools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from playground.core.extras import extra

if TYPE_CHECKING:
    from playground.backends.knative.learners import Learner

app = typer.Typer(
    help="A Kubernetes cluster for the playground: make one with kind, or use one that is there.",
    no_args_is_help=True,
)
out = Console(highlight=False, soft_wrap=True)
Kubeconfig = Annotated[
    Path | None, typer.Option(help="The file with the context; by default KUBECONFIG's, or ~/.kube/config.")
]


def needs_kubernetes(command: Callable[..., None]) -> Callable[..., None]:
    """A command that says what to install, where the extra [knative] is not."""

    @functools.wraps(command)
    def told(*args: Any, **options: Any) -> None:
        with extra("knative"):
            command(*args, **options)

    return told


@app.command()
@needs_kubernetes
def create(
    manifests: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Take Knative's release files from here.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Load image archives (*.tar) from here.")
    ] = None,
    eventing: Annotated[bool, typer.Option(help="--no-eventing: leave out Knative Eventing.")] = True,
) -> None:
    """Make a kind cluster with Knative, Restate and the ledger. Run again, it goes on or mends."""
    from playground.backends.knative.create import create as make
    from playground.backends.knative.steps import Steps

    made = make(Steps(out), manifest_dir=manifests, image_dir=images, eventing=eventing)
    out.print(f"\nRestate's UI: {made.admin_url}/ui\nLessons: PLAYGROUND_BACKEND=knative make lab")
    out.print(f"By hand: kubectl --kubeconfig {made.kubeconfig} --namespace {made.namespace} get pods")


@app.command()
@needs_kubernetes
def status() -> None:
    """Say what the cluster is made of, and whether it is ready. Status 1 if something is not."""
    from playground.backends.knative import config
    from playground.backends.knative.status import half_made, look
    from playground.cli.doctor import table
    from playground.errors import StartError

    try:
        checks = asyncio.run(look(config.load()))
    except StartError:
        if (found := half_made()) is None:
            raise
        checks = [found]
    Console(highlight=False).print(table(checks))
    raise typer.Exit(1 if any(check.ok is False for check in checks) else 0)


@app.command()
@needs_kubernetes
def load(
    archives: Annotated[
        list[Path] | None,
        typer.Argument(exists=True, dir_okay=False, help="Made by `docker save`; without any: build the pod image."),
    ] = None,
) -> None:
    """Bring images into the kind cluster's node: the pod image, built anew, or those in archives."""
    from playground.backends.knative.create import load as bring
    from playground.backends.knative.steps import Steps

    bring(Steps(out), archives or [])


@app.command()
@needs_kubernetes
def adopt(
    context: Annotated[
        str, typer.Option(help="The context to use; the current one is never taken unless the file is named.")
    ] = "",
    namespace: Annotated[str, typer.Option(help="Where all goes; for a class, how the namespaces begin.")] = "",
    kubeconfig: Kubeconfig = None,
    image: Annotated[str, typer.Option(help="The pod image, where the nodes can pull it.")] = "",
    restate_image: Annotated[str, typer.Option(help="Restate's image, if the nodes pull from elsewhere.")] = "",
    storage_class: Annotated[str, typer.Option(help="For Restate's volume; by default the cluster's.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Go into a namespace that is in use.")] = False,
    learners: Annotated[int, typer.Option(help="Prepare a class: so many namespaces and kubeconfigs.")] = 0,
    output: Annotated[Path, typer.Option(file_okay=False, help="Where a class's kubeconfigs go.")] = Path("learners"),
    days: Annotated[int, typer.Option(min=1, help="How long a class's kubeconfigs are to be valid.")] = 7,
) -> None:
    """Use a Kubernetes that has Knative Serving: Restate and the ledger go into one namespace of it."""
    from playground.backends.knative.adopt import Choices
    from playground.backends.knative.adopt import adopt as take_over
    from playground.backends.knative.kubeconfig import choose
    from playground.backends.knative.learners import prepare
    from playground.backends.knative.steps import Steps

    chosen = choose(kubeconfig, context, namespace)
    choices = Choices(image or None, restate_image or None, storage_class or None)
    if learners:
        _print_class(asyncio.run(prepare(Steps(out), *chosen, choices, count=learners, directory=output, days=days)))
        undo = ["delete", "--learners", chosen[2], "--context", chosen[1]]
        if kubeconfig is not None:
            undo += ["--kubeconfig", str(kubeconfig)]
        out.print(f"To remove the class: python -m playground cluster {shlex.join(undo)}", markup=False)
        return
    adopted = asyncio.run(take_over(Steps(out), *chosen, choices, force=force))
    out.print(f"\nLessons: PLAYGROUND_BACKEND=knative make lab    (namespace {adopted.namespace})")


@app.command()
@needs_kubernetes
def delete(
    learners: Annotated[str, typer.Option(help="Remove a class: how its namespaces begin.")] = "",
    context: Annotated[str, typer.Option(help="The class's cluster.")] = "",
    kubeconfig: Kubeconfig = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Only forget an adopted cluster, which may be gone.")
    ] = False,
) -> None:
    """Remove the kind cluster, or what is ours from an adopted one. Half-made things go, too."""
    from playground.backends.knative.delete import delete as remove
    from playground.backends.knative.delete import delete_class
    from playground.backends.knative.steps import Steps

    if learners:
        delete_class(Steps(out), learners, kubeconfig, context)
    elif not remove(Steps(out), forget=forget):
        out.print("Nothing to remove.")


def _print_class(ready: list[Learner]) -> None:
    from rich.table import Table

    table = Table("namespace", "kubeconfig", "valid until", box=None, pad_edge=False)
    for learner in ready:
        table.add_row(learner.namespace, str(learner.kubeconfig), learner.expires)
    Console(highlight=False).print(table)
    out.print("\nA learner runs: python -m playground cluster adopt --kubeconfig FILE")
