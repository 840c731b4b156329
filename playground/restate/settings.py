"""The settings of a Restate server for a playground, on either backend: quick enough to watch, small, and silent.

Restate's own defaults are for production. Each setting is an environment variable. `restate-server --dump-config`
prints all of them (`__` separates levels, and `_` stands for `-`).
"""

from __future__ import annotations

from playground.core.settings import Settings

MAX_RETRY_INTERVAL = "5s"


def environment(settings: Settings) -> dict[str, str]:
    """The variables that are the same wherever the server runs. Each backend adds addresses and directories."""
    return {
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FORMAT": "json",
        "RESTATE_LOG_FILTER": "warn",
        "RESTATE_DEFAULT_NUM_PARTITIONS": "1",
        "RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE": "64MiB",
        "RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": f"{settings.inactivity_timeout * 1000:.0f}ms",
        "RESTATE_DEFAULT_RETRY_POLICY__INITIAL_INTERVAL": f"{settings.retry_interval * 1000:.0f}ms",
        "RESTATE_DEFAULT_RETRY_POLICY__MAX_INTERVAL": MAX_RETRY_INTERVAL,
        **{f"RESTATE_EXPERIMENTAL_ENABLE_{feature.upper()}": "true" for feature in settings.features},
    }
