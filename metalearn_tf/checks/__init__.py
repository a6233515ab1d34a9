"""What arguments must be, in words that name the argument. Nothing here knows a model."""
