"""What stands before the API and the web console: who may come in, by which door, and what they are told when
something is wrong."""
