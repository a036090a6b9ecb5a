"""How much of anything one request may be, or ask for."""

BODY = 64 << 10
"""Bytes of a body. Counted as they come, whatever its head says of its length."""
DOCUMENT_BODY = 4 << 20
"""The same where a fleet file, a recipe, or what a group of machines is told is sent."""
ARCHIVES_BODY = 1 << 50
"""The same where archives of machines are sent: what bounds them is the room where they are kept, which is
looked at with each piece."""
PAGE, MOST_PAGE = 100, 1000
"""Rows of a list when nothing is said, and at the most."""
READINGS = 2
"""Disks of machines that are read at once for those who look: each is a copy, and a confined process."""
