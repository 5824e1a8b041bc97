"""MTANet as a student: a teacher fills missing labels (after arXiv 2104.11560 and the ABAW 2020 winner).

- `settings`: the size of the network, and what the teacher's answers count
- `calibration`: how far the teacher's answers can be trusted
- `filling`: the labels that the teacher fills, and how right they are where the truth is known
- `network`: MTANet with the weights of the student's losses
- `method`: how the student is trained
"""
