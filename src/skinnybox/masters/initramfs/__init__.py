"""The initramfs of a master: what brings its kernel to the mounted root of a machine.

Made here, by this host, of this host's programs, the master's own kernel modules and guest/initramfs. No
program of the tree is run for it.
"""
