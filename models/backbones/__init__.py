"""What reads pictures and words: today a vision tower, a projector and a language model."""
