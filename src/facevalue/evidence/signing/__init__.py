"""Signatures over model folders, and signed statements about evaluations."""

from facevalue.evidence.signing.folder import SIGNATURE, problems_of, sign_folder
from facevalue.evidence.signing.statements import STATEMENTS, statement_problems, write_statements

__all__ = ["SIGNATURE", "STATEMENTS", "problems_of", "sign_folder", "statement_problems", "write_statements"]
