"""Classifiers that somebody else made: their files are read, understood, and put into our form."""
