"""What lies in a user's folder, and labels aligned with frames.

- `discovery`: finds videos and annotation files of a data set; does not read rows
- `listing`: lists the files under a folder
- `editions`: recognises the edition of a data set by folders and headers
- `parsing`: reads one annotation file: values, oddities, errors
- `mtl`: reads one multi-task annotation file
- `alignment`: puts the labels of all tasks side by side, frame by frame
- `splits`: decides which videos train and which are held out
- `findings`: counts what is odd in annotation files
- `counts`: counts frames per label, for balancing and reports
"""
