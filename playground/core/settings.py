"""The timings of a playground, and whatever else is chosen when it is opened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings that make a playground quick enough to watch. Restate's own defaults are for production.

    Attributes:
        inactivity_timeout: seconds without progress until Restate suspends an invocation
            (Restate's default: 60; https://docs.restate.dev/services/configuration).
        retry_interval: seconds until the first retry of a failed attempt; it doubles with each
            (Restate's default: 0.5).
        idle_window: seconds without an open attempt until a pod is stopped (Knative's default: 60).
        gated: whether each pod serves one attempt at a time and asks the ledger before every frame, so that one
            attempt can be killed at one point without harming any other (for the crash atlas).
        features: features to switch on in the Restate server, by their names in `GET /version`. A release has features
            that are on by default only in the next one.
        pods: "fork" forks pods from a process that has already imported the SDK; "spawn" starts new interpreters.
    """

    inactivity_timeout: float = 1.5
    retry_interval: float = 0.1
    idle_window: float = 2.0
    pods: str = "fork"
    gated: bool = False
    features: tuple[str, ...] = ()
