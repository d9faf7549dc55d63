"""What would each edit cost? Many candidates measured on the same examples."""
