"""`ullava plan`: how much memory a stage takes on GPUs that need not be here."""
