"""The shared layer: what every Mercato service needs to speak HTTP, events and DynamoDB the same way."""

import gc

# A function makes some 80,000 objects while it starts, and none of them is garbage: the usual 2,000 between two
# collections would be 8 % of the start. A warm request leaves so little that a rare collection is enough.
gc.set_threshold(100_000)
