"""The operator's commands: accounts, sagas, dead letters, orders, stock, the catalogue, traces."""
