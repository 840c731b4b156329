"""Recordings: what happened, as an append-only list of events, and the timeline folded from it."""

from playground.recording import kinds
from playground.recording.events import Event, Unknown, heard
from playground.recording.recording import Recording
from playground.recording.timeline import Timeline
from playground.recording.trace import Attempt, Effect, Entry, Mark, Pod, Trace

__all__ = [
    "Attempt",
    "Effect",
    "Entry",
    "Event",
    "Mark",
    "Pod",
    "Recording",
    "Timeline",
    "Trace",
    "Unknown",
    "heard",
    "kinds",
]
