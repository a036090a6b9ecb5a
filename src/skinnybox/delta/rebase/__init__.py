"""What a new master under a living machine means for it: a plan, from plain values, that writes nothing."""
