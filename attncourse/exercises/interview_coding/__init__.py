"""Exercises of the chapter on programming problems of interviews."""
