"""The page that shows a video with what is predicted for each frame.

- `encoding`: columns as compact text that a page turns into typed arrays
- `page`: renders the page and its data
- `drawing`: boxes, points and text on pixels
- `burnt_in`: draws people and answers into the frames of a video
- `view`: gathers everything about a video and writes the folder with its page
"""
