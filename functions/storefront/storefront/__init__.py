"""The shop that customers see: server-rendered pages over the shop's own API."""
