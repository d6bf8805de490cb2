"""The console that operators work with: server-rendered pages over the shop's own API."""
