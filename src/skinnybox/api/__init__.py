"""The REST API, below /api/v1: every use case of the fleet, one module for each subject."""
