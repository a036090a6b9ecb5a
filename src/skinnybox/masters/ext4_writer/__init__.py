"""Writing a tree as an ext4 that is only ever read.

Not `mke2fs -d`: that of e2fsprogs 1.47.0 drops the nanoseconds of every mtime, takes access and change times
from its source, so that no two images are the same, leaves out what the root itself is like, splits symlinks
that have several names, orders attributes as the source's filesystem does, adds a /lost+found, and has to be
told how large the result will be. All that would be mended in what it wrote, differently for each of its
versions. What is only read is simple: no journal, no checksums, no room to grow, everything in one pass.
"""
