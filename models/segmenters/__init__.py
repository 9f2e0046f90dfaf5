"""What turns features of a picture and a prompt into masks."""
