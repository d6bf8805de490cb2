"""`mercato demo`: the shop's stories, good and bad, told step by step against the running shop."""
