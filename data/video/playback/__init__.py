"""A video as browsers play it, with the same frames at the same times.

- `browser_copy`: decides whether a browser plays a file as it is, and makes a copy if not
- `rewriting`: writes the frames of a video, drawn on if wanted, as H.264 with its sound
- `sound`: the sound of a video as packets of a new file
- `times`: the times of frames, complete and increasing
"""
