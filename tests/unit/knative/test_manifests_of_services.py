"""What a deployed service is in the cluster, object by object; and what its pods are allowed to do."""

from __future__ import annotations

import json

import pytest

from playground.backends.knative.readiness import exit_code, has_started, pod_is_ready, stuck
from playground.backends.knative.revision import Names, kservice, labels, source_map, template
from playground.core.settings import Settings
from tests.unit.knative.apiserver import recorded, recorded_events

NAMES = Names("signup", "", "learner")
MARKS = labels("abc", lab=False)


def made(settings: Settings | None = None, revision: str = "signup-00001") -> dict[str, object]:
    return template(
        NAMES, "signup", revision, image="i", env={"A": "1"}, settings=settings or Settings(idle_window=6), marks=MARKS
    )


def test_a_knative_service_with_two_revisions() -> None:
    service = kservice(NAMES, made(revision="signup-00002"), ["signup-00001", "signup-00002"], MARKS)
    assert service["metadata"] == {
        "name": "signup",
        "labels": {
            "app.kubernetes.io/part-of": "durable-playground",
            "durable-playground/run": "abc",
            "networking.knative.dev/visibility": "cluster-local",
        },
    }
    assert service["spec"]["traffic"] == [
        {"revisionName": "signup-00001", "tag": "r00001", "percent": 0},
        {"revisionName": "signup-00002", "tag": "r00002", "percent": 100},
    ]
    latest = service["spec"]["template"]
    assert latest["metadata"]["name"] == "signup-00002"
    assert latest["metadata"]["annotations"] == {
        "autoscaling.knative.dev/window": "6s",
        "serving.knative.dev/progress-deadline": "45s",
    }
    (container,) = latest["spec"]["containers"]
    assert container["args"] == ["/service/signup.py"]
    assert container["ports"] == [{"name": "h2c", "containerPort": 9080}]
    assert container["env"] == [{"name": "A", "value": "1"}]
    assert "containerConcurrency" not in latest["spec"]


def test_a_pod_may_do_no_more_than_it_needs() -> None:
    (container,) = made()["spec"]["containers"]  # type: ignore[index]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert made()["spec"]["automountServiceAccountToken"] is False  # type: ignore[index]


def test_a_gated_pod_takes_one_request_at_a_time() -> None:
    assert made(Settings(gated=True))["spec"]["containerConcurrency"] == 1  # type: ignore[index]


def test_each_revision_has_an_address_and_a_source_of_its_own() -> None:
    assert NAMES.address("signup-00003") == "http://r00003-signup.learner.svc.cluster.local"
    made = source_map(NAMES, "signup", "signup-00003", "1 < 2: 'ünïcödé'\n", MARKS)
    assert made["metadata"]["name"] == "signup-00003-source"
    assert json.loads(json.dumps(made))["data"] == {"signup.py": "1 < 2: 'ünïcödé'\n"}


def test_a_labs_names_are_others() -> None:
    lab = Names("signup", "-lab", "learner")
    assert (lab.service, lab.revision("signup-00001")) == ("signup-lab", "signup-lab-00001")
    assert lab.address("signup-00001") == "http://r00001-signup-lab.learner.svc.cluster.local"
    assert labels("abc", lab=True)["durable-playground/lab"] == "true"


def test_the_longest_name_fits() -> None:
    lab = Names("a" * 40, "-lab", "n")
    for name in (lab.source("a" * 40 + "-00001"), f"{lab.tag('x-00001')}-{lab.service}"):
        assert len(name) <= 63


@pytest.mark.parametrize(
    ("recording", "why", "fix"),
    [
        ("noimage", "ErrImagePull", "cluster load"),
        ("crash", "no-such-program", ""),
        ("toobig", "Insufficient memory", "more memory"),
    ],
)
def test_why_a_pod_does_not_run_is_known_from_its_status(recording: str, why: str, fix: str) -> None:
    pod = json.loads(recorded(f"{recording}.json"))
    found = stuck(pod)
    assert found is not None
    assert why in found.why
    assert fix in found.fix
    assert (found.after > 0) == (recording == "toobig"), "a pod that is stopping may still hold the room"


def test_a_pod_that_gets_well_is_not_stuck() -> None:
    events = recorded_events("replaced.watch")
    assert [stuck(event["object"]) for event in events] == [None] * len(events)
    first = [event["object"] for event in events[:6]]
    assert [has_started(pod, "user") for pod in first] == [False, False, False, True, True, True]
    assert [pod_is_ready(pod) for pod in first] == [False, False, False, False, True, True]
    assert exit_code(first[-1], "user") is None
    refused = recorded_events("refused.watch")[-1]["object"]
    assert exit_code(refused, "user") == 65
    assert exit_code(refused, "nobody") is None
