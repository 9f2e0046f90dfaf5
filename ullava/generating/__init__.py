"""`ullava generate-images`: pictures of objects with a part in sight, painted by Stable Diffusion (seed 000)."""
