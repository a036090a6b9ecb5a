"""Fleet files: read, checked as a whole, and turned into the machines they describe."""
