"""Finds annotation files and aligns their labels with frames.

- `discovery`: finds the annotation files of a data set, without reading rows
- `videos`: finds its videos; several of the same name and content are one
- `listing`: lists the files under a folder
- `editions`: recognises the edition of a data set by its folders and headers
- `parsing`: reads one annotation file: values, oddities, errors
- `mtl`: reads one multi-task annotation file
- `alignment`: joins the labels of all tasks frame by frame
- `splits`: decides which videos train and which are held out
- `findings`: counts oddities in annotation files
- `counts`: counts frames per label, for balancing and reports
"""
