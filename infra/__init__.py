"""Infrastructure: the templates in this folder, the local cloud and the operator's commands."""
