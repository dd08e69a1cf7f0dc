"""The verbs: one file each, with the words and file names of the command line.

``facevalue.train`` is ``facevalue.api.train.train``, and so on. Nothing is imported here: looking at images or fetching
them needs no torch.
"""
