"""The timings of a playground, and what else is chosen when it is opened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """What makes a playground quick enough to watch. Restate's own defaults are for production.

    Attributes:
        inactivity_timeout: seconds without progress until Restate suspends an invocation
            (Restate's default: 60; https://docs.restate.dev/services/configuration).
        retry_interval: seconds until the first retry of a failed attempt; doubles with each
            (Restate's default: 0.5).
        idle_window: seconds without an open attempt until a pod is stopped (Knative's default: 60).
        gated: each pod serves one attempt at a time and asks the ledger before every frame, so that one
            attempt can be killed at one point and no other with it (the crash atlas).
        features: what the Restate server is asked to have switched on, by the names it has for them in `GET /version`:
            a release has features that only the next one has on by default.
        pods: "fork" starts pods from a process that has the SDK imported; "spawn" starts each afresh.
    """

    inactivity_timeout: float = 1.5
    retry_interval: float = 0.1
    idle_window: float = 2.0
    pods: str = "fork"
    gated: bool = False
    features: tuple[str, ...] = ()
