"""One invocation of a function: saga tasks, schedules, the deadline, hooks that run after the answer."""
