"""Faces to people to annotated tracks.

- `fragments`: joins faces to stretches of one person
- `identity`: what embeddings of faces say about stretches
- `people`: joins stretches to people
- `assignment`: assigns people to annotated tracks
- `hints`: reads a user's assignment of tracks
- `description`: describes people and choices in plain numbers
- `doubts`: describes what a user should check
"""
