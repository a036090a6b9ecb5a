"""A recipe run on top of a stack: the stack as a tree, what is done in it, and what of it is a layer then."""
