"""How far a run of the workflow is."""
