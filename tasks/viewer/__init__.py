"""The page that shows a video with what is predicted for each frame.

- `encoding`: columns as compact text that a page turns into typed arrays
- `page`: renders the page and its data
- `view`: gathers everything about a video and writes the folder with its page
"""
