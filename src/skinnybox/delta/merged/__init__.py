"""The tree that a machine sees, put together from its disks and the images of its stack while it is off."""
