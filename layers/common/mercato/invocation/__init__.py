"""One invocation of a function: saga tasks, schedules, the deadline, hooks after the response."""
