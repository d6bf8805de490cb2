"""The shop as a whole: the dashboard, its health, the API's document."""
