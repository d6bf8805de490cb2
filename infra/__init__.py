"""Infrastructure: the templates beside this file, and the local cloud."""
