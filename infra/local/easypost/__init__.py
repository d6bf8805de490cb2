"""A stand-in of EasyPost that runs in its own process. Its state is lost when the process ends."""
