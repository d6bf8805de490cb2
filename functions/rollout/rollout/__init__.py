"""The smoke test of a new version, which CodeDeploy runs before the version gets a share of the calls."""
