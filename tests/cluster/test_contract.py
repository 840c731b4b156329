"""The Kubernetes backend fits the seam."""

from __future__ import annotations

import pytest

from tests.contract import Contract

pytestmark = pytest.mark.cluster


class TestKnativeBackend(Contract):
    """The suite, on pods of a real cluster."""

    deploying = 20.0
