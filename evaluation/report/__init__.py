"""Pages, charts and pictures about an evaluation."""
