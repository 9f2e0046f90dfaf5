"""Numbers and pictures: batch evaluation, inference, baselines, and the metrics they use."""
