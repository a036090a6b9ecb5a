"""The web console: pages made on the server, which are plain forms and links where nothing is scripted."""
