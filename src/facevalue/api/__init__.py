"""The verbs: one file each, with the same names as the commands.

``facevalue.train`` is ``facevalue.api.train.train``, and so on. Nothing is imported here, because ``scan_data`` and
``get_data`` need no torch.
"""
