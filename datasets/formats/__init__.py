"""File formats that several readers and programs share: what their bytes mean, and nothing of datasets."""
