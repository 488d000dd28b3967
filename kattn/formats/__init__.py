"""A classifier in formats that other programs run: token ids in, probabilities out."""
