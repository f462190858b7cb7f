"""A signature over the statement with a key of the user's: a DSSE envelope, ed25519 or ECDSA.

Keys are PEM files, as ``openssl genpkey -algorithm ed25519`` writes them (private: PKCS 8; public:
SubjectPublicKeyInfo).
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SecureError
from securesystemslib.signer import CryptoSigner, SSlibKey

from paritylab.audit import documents
from paritylab.audit.archive import Members
from paritylab.audit.statement import ENVELOPE, FILE
from paritylab.errors import BundleError, UsageError

PAYLOAD = "application/vnd.in-toto+json"
MAX_KEY = 64 << 10
_KEYGEN = (
    "make one: `openssl genpkey -algorithm ed25519 -out key.pem`; "
    "its public half: `openssl pkey -in key.pem -pubout -out pub.pem`"
)


def signer(path: Path) -> CryptoSigner:
    """Return a signer with the private key in a PEM file; raises UsageError if it is none."""
    try:
        return CryptoSigner(load_pem_private_key(_pem(path), password=None))
    except (ValueError, TypeError, SecureError) as fault:
        raise UsageError(
            "this is no private key that can sign", where=str(path), why=str(fault), fix=_KEYGEN
        ) from None
    except Exception as fault:
        # cryptography's UnsupportedAlgorithm is no ValueError; nothing else is expected.
        raise UsageError("this key cannot be used", where=str(path), why=str(fault)) from None


def envelope(statement: bytes, by: CryptoSigner) -> bytes:
    """Return the DSSE envelope of a statement, signed, as JSON."""
    made = Envelope(statement, PAYLOAD, {})
    made.sign(by)
    return documents.dump(made.to_dict())


def check(members: Members, key: Path | None) -> str | None:
    """Check the envelope among ``members``; return the id of its key, or None if unsigned.

    With ``key`` (a public key) the statement must be signed with it. Raises BundleError for an
    envelope that is broken, of another statement, unsigned or signed with another key; UsageError
    when ``key`` is no public key.
    """
    wanted = _public(key) if key else None
    if ENVELOPE not in members:
        if wanted:
            raise BundleError(
                "the bundle is not signed",
                where=str(key),
                why=f"there is no {ENVELOPE} in it, and --key demands a signature",
            )
        return None
    found = _envelope(members[ENVELOPE])
    if found.payload != members.get(FILE) or found.payload_type != PAYLOAD:
        raise BundleError(f"the signed statement is not {FILE}", where=ENVELOPE)
    if not found.signatures:
        raise BundleError("it holds no signature", where=ENVELOPE)
    if wanted is None:
        return ", ".join(sorted(found.signatures))
    try:
        found.verify([wanted], 1)
    except (SecureError, ValueError) as fault:
        raise BundleError(
            "the signature is not one of this key",
            where=ENVELOPE,
            why=f"{fault}; signed by {', '.join(sorted(found.signatures))[:200]}, "
            f"the key given is {wanted.keyid}",
            fix="ask for the public key of whoever made the bundle",
        ) from None
    return str(wanted.keyid)


def _envelope(data: bytes) -> Envelope:
    plain = documents.load(data, where=ENVELOPE)
    try:
        found = Envelope.from_dict(plain)
    except (SecureError, KeyError, ValueError, TypeError, AttributeError) as fault:
        raise BundleError("it is no DSSE envelope", where=ENVELOPE, why=repr(fault)) from None
    if documents.dump(found.to_dict()) != data:
        raise BundleError("it is not in the form that paritylab writes", where=ENVELOPE)
    return found


def _public(path: Path) -> SSlibKey:
    try:
        return SSlibKey.from_crypto(load_pem_public_key(_pem(path)))
    except (ValueError, TypeError, SecureError) as fault:
        raise UsageError(
            "this is no public key", where=str(path), why=str(fault), fix=_KEYGEN
        ) from None
    except Exception as fault:
        raise UsageError("this key cannot be used", where=str(path), why=str(fault)) from None


def _pem(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY)
    except OSError as fault:
        raise UsageError(f"the key cannot be read: {fault.strerror}", where=str(path)) from None
