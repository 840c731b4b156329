"""The checks of the capstone's exercises: an order service on trial, and the outside world around it."""

from __future__ import annotations

from typing import Any

from playground.atlas import Atlas
from playground.atlas.run import Run
from playground.errors import AtlasError, InvocationFailed, PodNotFound
from playground.handles import Invocation
from playground.lessons.feedback import Broken, NotYet
from playground.lessons.trial import Trial

SHELF = 3
"""How many pieces of each item there are at first, as the starter says."""


# -- the outside's part -----------------------------------------------------------------------------


def _order(trial: Trial, name: str, *items: str) -> dict[str, Any]:
    return {"id": trial.key(name), "items": [trial.key(item) for item in items], "amount": 30}


def _parcel(trial: Trial, invocation: Invocation) -> str:
    """The id of the parcel, as soon as the carrier has it; empty if the order ends or fails before that."""
    shipment = trial.first_effect("shipment", invocation)
    return trial.named(shipment, "parcel") if shipment else ""


def _delivered(trial: Trial, invocation: Invocation, failures: int = 1) -> Any:
    """The result of an order that the carrier delivers."""
    if parcel := _parcel(trial, invocation):
        trial.resolve(parcel, "TR-1")
    return trial.result(invocation, failures=failures)


def _count(trial: Trial, invocation: Invocation) -> dict[str, int]:
    """How often each effect of an order happened."""
    effects = trial.effects(of=invocation.trace)
    return {kind: sum(e.kind == kind for e in effects) for kind in ("payment", "shipment", "email", "refund")}


def _ends_in_failure(trial: Trial, invocation: Invocation, why: str) -> None:
    try:
        value = trial.result(invocation)
    except InvocationFailed:
        return
    raise NotYet(
        f"{why}, and Orders/place returned {value!r}",
        "it ends with a TerminalError",
        "After undoing everything, pass the failure on: raise it again.",
    )


# -- the checks -------------------------------------------------------------------------------------


def stock(trial: Trial) -> str:
    """No more pieces are sold than there are, and a new pod knows how many are left."""
    tea = trial.key("tea")
    for nth in range(1, SHELF + 1):
        if refused := trial.refuses(f"Stock/{tea}/reserve"):
            raise NotYet(f"piece {nth} of {SHELF} was refused: {refused.message}", "all that are there can be had")
    _refuses(trial, tea)
    if (left := trial.call(f"Stock/{tea}/left")) != 0:
        raise NotYet(
            f"after a reserve that was refused, {left} pieces are left",
            "0 pieces",
            "What a handler has set stays set when it raises. Check first, then take.",
        )
    trial.call(f"Stock/{tea}/put_back")
    if (left := trial.call(f"Stock/{tea}/reserve")) != 0:
        raise NotYet(f"one piece was put back and reserved again; reserve returned {left!r}", "0")
    cups = trial.key("cup")
    trial.call(f"Stock/{cups}/reserve")
    try:
        trial.pg.kill_pod(trial.service)
    except PodNotFound:
        pass  # it has scaled to zero: gone either way
    if (left := trial.call(f"Stock/{cups}/left")) != SHELF - 1:
        raise NotYet(
            f"one of {SHELF} was reserved and the pod was killed; now {left} are left",
            f"{SHELF - 1} are left",
            "What a pod has in its memory dies with it. Restate keeps what ctx.set sets.",
        )
    return f"{SHELF} pieces are sold, the fourth is refused, and a new pod knows it"


def _refuses(trial: Trial, item: str) -> None:
    try:
        refused = trial.refuses(f"Stock/{item}/reserve")
    except Broken as broken:
        raise NotYet(
            f"for a piece that is not there, reserve raises, again and again: {broken.message}",
            "a TerminalError",
            "Any other error is retried. Trying again does not fill the shelf.",
        ) from None
    if refused is None:
        raise NotYet(
            f"piece {SHELF + 1} of {SHELF} was sold", "a TerminalError", "Is anything left? Ask before you take."
        )


def charged(trial: Trial) -> str:
    """Every order is paid exactly once, even if the payment provider misbehaves."""
    for name, misbehaviour, what in (
        ("calm", {}, "nothing went wrong"),
        ("lost", {"lose_answer": 1}, "the answer of a payment was lost"),
        ("refused", {"fail": 2}, "a payment was refused twice"),
    ):
        trial.pg.ledger.misbehave("payment", **misbehaviour)  # type: ignore[arg-type]
        invocation = trial.send("Orders/place", _order(trial, name, f"tea-{name}"))
        try:
            _delivered(trial, invocation, failures=4)
        except Broken as broken:
            if "422" not in broken.message:
                raise
            raise NotYet(
                "the second order's payment was rejected: its key had been used for the first order's",
                "every order is paid",
                "A key says: this is the same request as before. Two orders must not share one.",
            ) from None
        payments = _count(trial, invocation)["payment"]
        if payments == 0:
            raise NotYet(
                f"{what}, and the order was shipped; payments: 0",
                "one payment",
                "Who caught the error? A step has to raise, so that Restate tries it again.",
            )
        if payments != 1:
            raise NotYet(
                f"{what}; payments: {payments}",
                "one payment",
                "The provider cannot tell a second try from a second payment: give both the same idempotency key.",
            )
    return "one payment for each order, also when one is refused, or its answer lost"


def compensated(trial: Trial) -> str:
    """An order that fails or is cancelled leaves nothing behind, and ends with the failure."""
    _after_reject(trial)
    _sold_out(trial)
    _cancelled(trial)
    _cancelled_while_paying(trial)
    return "sold out, rejected, cancelled: what was taken is back, what was paid is refunded"


def _put_right(trial: Trial, invocation: Invocation, why: str, *items: str, paid: bool = True) -> None:
    counts = _count(trial, invocation)
    if paid and counts["refund"] != 1:
        raise NotYet(
            f"{why}; payments: {counts['payment']}, refunds: {counts['refund']}",
            "what was paid is refunded, once",
            "How far has the order come when it fails? Then everything up to there has to be undone.",
        )
    if not paid and counts["refund"]:
        raise NotYet(
            f"{why}; payments: {counts['payment']}, refunds: {counts['refund']}",
            "no refund, for nothing was paid",
            "Undo only what has been begun.",
        )
    for item in items:
        left = trial.call(f"Stock/{trial.key(item)}/left")
        if not isinstance(left, int):
            raise NotYet(f"Stock/left returned {left!r}", "a number of pieces")
        if left < SHELF:
            raise NotYet(
                f"{why}; of {item} {left} are left",
                f"{SHELF}: what was reserved is back",
                "Each item that was reserved must be put back when the order fails.",
            )
        if left > SHELF:
            raise NotYet(
                f"{why}; of {item} {left} are left",
                f"{SHELF}, as before",
                "Something was put back that had not been taken, or twice.",
            )
    if counts["email"]:
        raise NotYet(f"{why}, and a confirmation was mailed", "no confirmation")


def _after_reject(trial: Trial) -> None:
    why = "the carrier rejected the parcel"
    invocation = trial.send("Orders/place", _order(trial, "rejected", "pot", "cup"))
    if parcel := _parcel(trial, invocation):
        trial.reject(parcel, "no such address")
    _ends_in_failure(trial, invocation, why)
    _put_right(trial, invocation, why, "pot", "cup")


def _sold_out(trial: Trial) -> None:
    why = "the second of two items was sold out"
    for _ in range(SHELF):
        trial.call(f"Stock/{trial.key('rare')}/reserve")
    if trial.refuses(f"Stock/{trial.key('rare')}/reserve") is None:
        raise NotYet("Stock sells what it does not have", "a TerminalError", "First make stock_never_oversold correct.")
    invocation = trial.send("Orders/place", _order(trial, "short", "bag", "rare"))
    if parcel := _parcel(trial, invocation):
        trial.resolve(parcel, "TR-1")
    _ends_in_failure(trial, invocation, why)
    _put_right(trial, invocation, why, "bag", paid=False)
    if left := trial.call(f"Stock/{trial.key('rare')}/left"):
        raise NotYet(
            f"{why}; now {left} of it are left",
            "0, as before",
            "It was put back, but it had never been taken.",
        )


def _cancelled(trial: Trial) -> None:
    why = "the order was cancelled while it waited for the carrier"
    invocation = trial.send("Orders/place", _order(trial, "cancelled", "lid"))
    _parcel(trial, invocation)
    invocation.cancel()
    _ends_in_failure(trial, invocation, why)
    _put_right(trial, invocation, why, "lid")


def _cancelled_while_paying(trial: Trial) -> None:
    why = "the payment was made, its answer was lost, and the order was cancelled before it came"
    trial.pg.ledger.misbehave("payment", lose_answer=True)
    invocation = trial.send("Orders/place", _order(trial, "hasty", "jar"))
    trial.first_effect("payment", invocation)
    invocation.cancel()
    try:
        _ends_in_failure(trial, invocation, why)
    finally:
        trial.pg.ledger.behave()
    counts = _count(trial, invocation)
    if not counts["refund"]:
        raise NotYet(
            f"{why}; payments: {counts['payment']}, refunds: 0",
            "a refund",
            "When the charge is cut short you cannot know whether it went through. So note that there may be "
            "something to refund before you charge, not after.",
        )
    _put_right(trial, invocation, why, "jar")


def survives(trial: Trial) -> str:
    """Every effect happens exactly once, whatever crashes or misbehaves."""
    order = {"id": "o-1", "items": ["tea"], "amount": 30}
    _holds(trial, order, _deliver, "the outside world misbehaves", target="ledger")
    _holds(trial, order, _reject, "the outside world misbehaves, and the carrier rejects", target="ledger")
    runs = _holds(trial, order, _deliver, "a pod is killed", most=24)
    return f"every effect exactly once: in {runs} runs with a pod killed, and whatever the outside world did"


def _deliver(run: Run) -> None:
    run.resolve(run.wait_for("shipment")["parcel"], "TR-1")


def _reject(run: Run) -> None:
    run.reject(run.wait_for("shipment")["parcel"], "no such address")


def _holds(trial: Trial, order: dict[str, Any], drive: Any, when: str, **options: Any) -> int:
    try:
        atlas: Atlas = trial.atlas("Orders/place", order, drive=drive, keys=[order["id"]], **options)
        broken = atlas.broken(effects="exactly_once")
    except AtlasError as error:
        raise NotYet(f"{error.what} {error.why}", "it completes, and its effects are observed") from None
    if not broken:
        return len(atlas)
    first = broken[0]
    wrong = [
        f"{kind}: {n} instead of {first.expected[kind]}"
        for kind, n in first.effects.items()
        if n != first.expected[kind]
    ]
    observed = "; ".join([*wrong, *first.state_diff, *([first.detail] if first.detail else [])])
    twice = [kind for kind, n in first.effects.items() if n > first.expected[kind]]
    never = [kind for kind, n in first.effects.items() if n < first.expected[kind]]
    mistake = ""
    if twice:
        mistake = f"The {twice[0]} happens again when its step is tried again. Does it have a key that stays the same?"
    elif never:
        mistake = f"The {never[0]} is given up. A step has to raise, so that Restate tries it again."
    raise NotYet(
        f"{when} ({first.points[0].name}): {observed}", "every effect exactly once, the right result and state", mistake
    )
