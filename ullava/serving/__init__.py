"""A model behind a page in the browser."""
