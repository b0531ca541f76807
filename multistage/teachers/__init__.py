"""Teachers: rankings and scores of a query's candidates by a stronger model."""
