"""The embedded world: drawn scenes of which everything is known, for the tests and the demo."""

from ullava.datasets.tiny_world.world import draw_world

__all__ = ["draw_world"]
