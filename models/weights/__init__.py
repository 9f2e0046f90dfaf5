"""Published weights, read from their files and renamed by tables that work in both directions."""
