"""Teachers: rankings of a query's candidates by a stronger model, kept in RankGPT's files."""
