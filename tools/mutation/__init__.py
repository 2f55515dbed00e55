"""Mutation testing: changes code, one place at a time, and counts the changes that tests see."""
