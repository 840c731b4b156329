"""The Kubernetes backend: Knative Serving runs the pods, Restate is a StatefulSet beside them."""
