"""One video to its face shards, in two passes.

- `settings`: how faces are found and assigned to tracks
- `extract`: runs both passes for one video
- `detections`: first pass: every face in a video, with its crop
- `search`: which frames are searched, and how closely
- `chips`: faces that are cut for the recognition of people
- `embeddings`: what a network makes of them
- `interpolation`: faces of the frames between two searched ones
- `gaps`: fills short gaps in a track from their own frames
- `assembly`: second pass: faces to the rows of each track
- `cropped`: takes the crops that come with the data set instead of videos
"""
