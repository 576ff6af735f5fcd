"""Refuses a second stock move under one external reference."""
