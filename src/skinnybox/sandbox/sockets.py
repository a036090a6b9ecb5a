"""What of sockets a confined process is left. Words only: who starts one and who is one both import them."""

NO_SOCKETS, LISTENING, INTERNET = "none", "listening", "internet"
"""Those that were handed over; TCP ones besides that may be listened at, and connect to nobody; those of the
internet besides. Never any by which a process of this machine is reached through its filesystem."""
