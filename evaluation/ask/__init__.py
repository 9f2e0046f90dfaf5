"""Questions of people: one, many, or a conversation."""
