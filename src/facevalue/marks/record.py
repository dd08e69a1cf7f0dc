"""The marks of one file, as a record and in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from facevalue.marks.source_types import Says, says_of, words_of

State = Literal["none", "valid", "trusted", "invalid", "unreadable", "not_checked"]
"""Of Content Credentials. ``none``: the file has none. ``valid``: the signature holds and the file is as it was signed,
but no trust list names the signer. ``trusted``: a trust list names the signer. ``invalid``: the file was changed after
it was signed, or the certificate does not hold. ``unreadable``: the credentials or the file are damaged.
``not_checked``: ``detail`` says why."""

Kind = Literal["source_type", "ai_label", "prompt", "software", "credit", "camera"]
"""Of a mark without a signature: the IPTC source type, China's label of AI content, an image generator's settings, a
program's name, a credit line, a camera's name."""

PROVES_NOTHING = (
    "marks are no proof: saving or sending an image removes them, so their absence says nothing, and anyone can write "
    "a mark that is not signed"
)

LONGEST = 300
"""Most characters of one text."""


@dataclass(frozen=True)
class Credentials:
    """Content Credentials: a manifest that somebody signed (C2PA 2.x, https://spec.c2pa.org).

    Attributes
    ----------
    state : see :data:`State`.
    signer, issuer : common name and organisation in the signing certificate; the signer chose them unless a trust
        list vouches for the certificate.
    time : when it was signed, in ISO 8601, if a time stamp says so.
    generator : the program that made the manifest, and the one that made the image if it is another.
    source_types : IPTC digital source types in the manifest's actions.
    ingredient_source_types : the same in the manifests of images that this one was made from.
    problems : C2PA's codes of what does not hold.
    detail : why the credentials were not checked, or are unreadable.
    """

    state: State = "none"
    signer: str | None = None
    issuer: str | None = None
    time: str | None = None
    generator: str | None = None
    source_types: tuple[str, ...] = ()
    ingredient_source_types: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    detail: str | None = None

    @property
    def who(self) -> str:
        """The signer in words.

        >>> Credentials("valid", signer="Camera 12", issuer="Maker").who
        'Camera 12 (Maker)'
        """
        if self.signer and self.issuer and self.signer != self.issuer:
            return f"{self.signer} ({self.issuer})"
        return self.signer or self.issuer or "an unnamed signer"

    @property
    def line(self) -> str:
        """One sentence; empty if there are none.

        >>> Credentials("valid", signer="A", source_types=("trainedAlgorithmicMedia",)).line
        'Content Credentials: signed by A, whom no trust list names; unchanged since; says made by a generative AI'
        """
        match self.state:
            case "none":
                return ""
            case "trusted":
                text = f"signed by {self.who}, whom the trust list names; unchanged since"
            case "valid":
                text = f"signed by {self.who}, whom no trust list names; unchanged since"
            case "invalid":
                text = f"do not hold: {self._fault} ({', '.join(self.problems)})"
            case "unreadable":
                return f"Content Credentials: damaged, so they show nothing: {self.detail}"
            case "not_checked":
                return f"Content Credentials: not checked: {self.detail}"
        return "; ".join([f"Content Credentials: {text}", *self._says])

    @property
    def _fault(self) -> str:
        if any(code.startswith("signingCredential") and code != UNTRUSTED for code in self.problems):
            return f"the certificate of {self.who} is not accepted"
        if any("mismatch" in code for code in self.problems):
            return f"changed after {self.who} signed"
        return f"the manifest of {self.who} does not follow the rules"

    @property
    def _says(self) -> list[str]:
        said = []
        if self.source_types:
            said.append(f"says {_listed(self.source_types)}")
        if self.ingredient_source_types:
            said.append(f"made from an image that says {_listed(self.ingredient_source_types)}")
        return [*said, *([f"program: {self.generator}"] if self.generator else [])]


UNTRUSTED = "signingCredential.untrusted"
"""C2PA's code for a signer whom no trust list names. It is no fault: the state is then ``valid``."""


@dataclass(frozen=True)
class UnsignedMark:
    """One mark without a signature: anyone could have written it.

    Attributes
    ----------
    kind : see :data:`Kind`.
    text : what the file says, at most :data:`LONGEST` characters.
    where : in which part of the file: ``XMP``, ``EXIF``, ``IPTC`` or ``PNG text``.
    tool : the image generator that writes such a mark, if it is known.
    says : the kind of origin that the mark claims, if it does.
    """

    kind: Kind
    text: str
    where: str
    tool: str | None = None
    says: Says | None = None

    @property
    def line(self) -> str:
        """One sentence.

        >>> UnsignedMark("camera", "Maker Model 5", "EXIF", says="camera").line
        'EXIF: says it was taken with Maker Model 5'
        """
        match self.kind:
            case "source_type":
                return f"{self.where}: says {words_of(self.text)}"
            case "ai_label":
                return f"{self.where}: label of AI content: {self.text}"
            case "prompt":
                return f"{self.where}: settings of {self.tool or 'an image generator'}: {self.text}"
            case "camera":
                return f"{self.where}: says it was taken with {self.text}"
            case "software":
                return f"{self.where}: program: {self.text}"
            case "credit":
                return f"{self.where}: credit: {self.text}"


@dataclass(frozen=True)
class OriginMarks:
    """What a file says of its own origin. Absence proves nothing, and only signed marks cannot be forged by anyone.

    Attributes
    ----------
    credentials : Content Credentials.
    unsigned : marks without a signature, each once.
    """

    credentials: Credentials = Credentials()
    unsigned: tuple[UnsignedMark, ...] = ()

    @property
    def says_ai(self) -> bool:
        """Whether a mark says that a generative AI made the image or parts of it. Invalid credentials do not count."""
        signed: tuple[str, ...] = ()
        if self.credentials.state in ("valid", "trusted"):
            signed = self.credentials.source_types + self.credentials.ingredient_source_types
        return "ai" in {*map(says_of, signed), *(mark.says for mark in self.unsigned)}

    @property
    def lines(self) -> tuple[str, ...]:
        """One sentence for each mark; empty if there is none."""
        return tuple(line for line in (self.credentials.line, *(mark.line for mark in self.unsigned)) if line)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.credentials).items()}
        return {"credentials": plain, "unsigned": [asdict(mark) for mark in self.unsigned], "says_ai": self.says_ai}


def shown(text: str) -> str:
    """A text from a file as one short line without control characters, which could change a terminal.

    >>> shown("a\\n b\\x1b[31m")
    'a b?[31m'
    """
    line = " ".join(text[: 4 * LONGEST].split())
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"


def _listed(types: tuple[str, ...]) -> str:
    return " and ".join(map(words_of, types))
