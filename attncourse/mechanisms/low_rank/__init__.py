"""Keys, values or weights of low rank: landmarks, projections, factors."""
