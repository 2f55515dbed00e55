"""Mutation testing: changes code in one place at a time and counts the changes that tests see."""
