"""Makes task and suite files for tables of a user's own, by guessing what their columns are."""
