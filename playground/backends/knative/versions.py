"""The versions this playground is made of and was tried with: the one place that pins them.

The node image, and with it the version of Kubernetes, is pinned in kind-config.yaml, which kind itself reads.
Restate's version is that of the embedded server, so both backends run the same one.

Where the checksums come from: Knative's operator keeps copies of the release's files, made byte for byte by its own
fetcher (knative/operator at 8f004985a, `cmd/operator/kodata`). The sums below were computed from those. Unrelated
public projects that pin the downloads from the release pages pin the same sums: three for Serving and Kourier, one
for Eventing.
"""

from __future__ import annotations

from dataclasses import dataclass

from playground.restate.version import SERVER_VERSION

POD_IMAGE = "kind.local/durable-playground-pod:0.1.0"
"""The pod image. Knative does not look for a registry under `kind.local/`: the image is loaded into the nodes."""

RESTATE_IMAGE = f"docker.restate.dev/restatedev/restate:{SERVER_VERSION}"
"""Restate's own image. By tag, not by digest: an image carried over in an archive has no digest to be found by."""

KIND_VERSION = (0, 32, 0)
"""The oldest kind that the node image in kind-config.yaml is made for (its release notes name the image)."""

KNATIVE_VERSION = "1.23.0"
"""Of Serving, Kourier and Eventing alike; what `cluster create` installs."""

KNOWN_KNATIVE = ("1.23",)
"""Minor versions of Knative Serving that the lessons were run on. Others are adopted with a warning."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One file of a Knative release.

    Attributes:
        name: the file's name, the same in a directory given with `--manifests`.
        repository: on GitHub, owner/name.
        sha256: of its content, in hexadecimal.
        size: in bytes.
    """

    name: str
    repository: str
    sha256: str
    size: int

    @property
    def url(self) -> str:
        """Where the release has it."""
        return f"https://github.com/{self.repository}/releases/download/knative-v{KNATIVE_VERSION}/{self.name}"


SERVING: tuple[Manifest, ...] = (
    Manifest(
        "serving-crds.yaml",
        "knative/serving",
        "b172ff4901ed50f8e4e09ff8616e54d22e264df7086ce8cb74f513a04812fe74",
        411_211,
    ),
    Manifest(
        "serving-core.yaml",
        "knative/serving",
        "be3f16c9c0ac9276cc173ef04871aaeac78537f9edb116310caa02f016e9cbc2",
        521_056,
    ),
)
KOURIER: tuple[Manifest, ...] = (
    Manifest(
        "kourier.yaml",
        "knative-extensions/net-kourier",
        "cded0c3c1d7669b1aa9f7484234b454ff3940a2b54a27d5ec4825c2d4003d01d",
        25_361,
    ),
)
EVENTING: tuple[Manifest, ...] = (
    Manifest(
        "eventing-crds.yaml",
        "knative/eventing",
        "20da395bc5a1de2633907d229180a1db3dd4a53fae541c24c6719de0adba8fb8",
        288_678,
    ),
    Manifest(
        "eventing-core.yaml",
        "knative/eventing",
        "9af6b3e7a7ae7e26de0018806226d044c0e5ff2612c1530ddc3f413e77b0b42b",
        389_237,
    ),
    Manifest(
        "in-memory-channel.yaml",
        "knative/eventing",
        "5ccc661337215e5b773648223bbf899c74fb316120983bd2c074c90db08c4c4d",
        46_200,
    ),
    Manifest(
        "mt-channel-broker.yaml",
        "knative/eventing",
        "2cd56ab5cbd40ab5c11c3019a88c78c6b9df9deb44732dfbed15f638818584a3",
        26_676,
    ),
)
