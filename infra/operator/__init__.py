"""The operator's commands for accounts, sagas, dead letters, orders, stock, the catalogue and traces."""
