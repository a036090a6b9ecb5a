"""Files in a machine: version 3 of the SFTP protocol, over a connection that ssh gives."""
