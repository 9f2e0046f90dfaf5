"""The command lines of verbs whose work is elsewhere: each parses first and imports what is heavy only then."""
