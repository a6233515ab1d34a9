"""Examples become tasks."""
