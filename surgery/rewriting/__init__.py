"""What exact rewrites share: reading the graph, following residual streams, and the proof that they keep."""
