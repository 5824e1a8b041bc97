"""Everything in the store about the frames of one video, for the page that shows it.

- `finding`: finds a video by its name, a track or a file
- `columns`: reads the frames, labels and predictions of a video as columns
- `doubts`: the frames that a doubt about a person concerns
"""
