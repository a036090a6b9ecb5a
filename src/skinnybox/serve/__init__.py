"""The server: API and console as one application, its sockets, and its end."""
