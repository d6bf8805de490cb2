"""`mercato demo`: runs the shop's stories, good and bad, step by step against the running shop."""
