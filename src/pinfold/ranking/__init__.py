"""Candidates in, the same candidates in a better order out: the slow, accurate second stage."""
