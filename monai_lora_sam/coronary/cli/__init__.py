"""Commands of the coronary wing."""
