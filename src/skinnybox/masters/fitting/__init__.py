"""Making a tree fit for machines: the guest part goes in, and what belongs to a disk of one's own goes out.

All of it is done from here, in files and links. No program of the tree is run: it may be a stranger's.
"""
