"""The mesh's sidecar: a Lambda extension that runs Envoy beside a function and keeps its configuration fresh.

It imports the standard library alone, since it starts with every sandbox.
"""
