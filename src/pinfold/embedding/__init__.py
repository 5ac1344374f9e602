"""The window between torch and numpy: trained models as arrays in a folder."""
