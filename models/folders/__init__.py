"""Folders of models: what they hold, how they are opened, saved and merged."""
