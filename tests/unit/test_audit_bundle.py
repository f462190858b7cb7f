"""A bundle of a real audit: what is in it, who can check it, and what is refused."""

import contextlib
import io
import json
import shutil
import subprocess
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bundles import QUIET, audited, packed, rewritten, stand_in
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paritylab.audit import (
    archive,
    arrays,
    bundle,
    crate,
    documents,
    outlook,
    signing,
    statement,
    verify,
)
from paritylab.audit.diff import diff
from paritylab.audit.evidence import gather
from paritylab.errors import BundleError, UsageError
from paritylab.html import tidy

__all__ = ["audited", "packed", "stand_in"]


@pytest.fixture(params=["ed25519", "ecdsa"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key as PEM files."""
    made = (
        ed25519.Ed25519PrivateKey.generate()
        if request.param == "ed25519"
        else ec.generate_private_key(ec.SECP256R1())
    )
    return pem(made, tmp_path, request.param)


def pem(key: object, folder: Path, name: str) -> tuple[Path, Path]:
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


def test_a_bundle_verifies_and_tells_what_it_holds(packed: Path) -> None:
    """Results, lab sources, facts, crate, statement and report are there, and fit together."""
    found = verify.read(packed)
    assert {*verify.REQUIRED, "labs/double/lab.toml", "labs/double/pytorch.py"} <= set(
        found.members
    )
    assert [cell.cell for cell in found.audit.cells if cell.baseline] == ["double-pytorch@here-cpu"]
    [cell] = [cell for cell in found.audit.cells if cell.baseline]
    outputs = found.outputs(cell.baseline)
    assert outputs["doubled"].dtype == np.float32
    assert outputs["style"] == "eager"
    assert (found.signed_by, found.trusted) == (None, False)
    host = found.facts["host"]
    assert host["kernel"]
    assert host["flags"]
    assert found.facts["labs"]["double"]["seed"] == 0
    page = found.members["report.html"].decode()
    assert "double-pytorch@here-cpu" in page
    assert "<svg" in page


def test_the_same_audit_gives_the_same_bytes(audited: Path, packed: Path, tmp_path: Path) -> None:
    """Nothing random and no clock enters, so a bundle's digest says what was found."""
    evidence = gather(audited / "audit", audited / "project")
    digest = bundle.write(tmp_path / "again.zip", evidence, key=None, progress=QUIET)
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()
    assert digest == statement.sha256(packed.read_bytes())


def test_nothing_of_this_machine_s_folders_is_told(audited: Path, packed: Path) -> None:
    """A bundle goes to strangers: no home folder, no checkout."""
    for name, content in archive.unpack(packed).items():
        for secret in (str(Path.home()), str(audited), str(Path.cwd())):
            assert secret == "/" or secret.encode() not in content, (name, secret)


def test_the_statement_is_in_toto_with_slsa_provenance(packed: Path) -> None:
    """Other tools can read it: types, subjects, builder, dependencies."""
    members = archive.unpack(packed)
    told = json.loads(members[statement.FILE])
    assert told["_type"] == "https://in-toto.io/Statement/v1"
    assert told["predicateType"] == "https://slsa.dev/provenance/v1"
    assert {one["name"] for one in told["subject"]} == members.keys() - {statement.FILE}
    definition = told["predicate"]["buildDefinition"]
    assert definition["buildType"] == statement.BUILD_TYPE
    assert definition["externalParameters"]["engine"] == "here"


def test_the_crate_is_a_workflow_run(packed: Path) -> None:
    """The plan is the workflow; one action leads from inputs to results; every file has a hash."""
    graph = {one["@id"]: one for one in json.loads(archive.unpack(packed)[crate.FILE])["@graph"]}
    root, action = graph["./"], graph["#run"]
    assert root["mainEntity"] == action["instrument"] == {"@id": "plan.json"}
    assert {one["@id"] for one in root["conformsTo"]} == set(crate.PROFILES)
    assert root["mentions"] in ({"@id": "#run"}, [{"@id": "#run"}])
    assert {"@id": "audit.json"} in action["result"]
    assert {"@id": "labs/double/scenario.py"} in action["object"]
    parts = {one["@id"] for one in root["hasPart"]}
    assert parts == archive.unpack(packed).keys() - {crate.FILE, statement.FILE}


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_flipped_byte_anywhere_is_refused(
    packed: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """The bundle of a real audit, one byte changed: never accepted, never a traceback."""
    content = bytearray(packed.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "flipped.zip"
    path.write_bytes(content)
    with pytest.raises(BundleError):
        verify.read(path)


@pytest.mark.parametrize(
    "name", ["audit.json", "facts.json", "labs/double/pytorch.py", "report.html"]
)
def test_a_changed_file_is_named(packed: Path, tmp_path: Path, name: str) -> None:
    """Also when the zip around it was written anew, the statement tells which file was changed."""

    def change(members: dict[str, bytes]) -> None:
        members[name] = members[name].replace(b"e", b"E", 1)

    path = rewritten(packed, tmp_path / "a.zip", change, restate=False)
    with pytest.raises(BundleError) as caught:
        verify.read(path)
    assert f"{name}: SHA-256" in str(caught.value)


def test_a_missing_and_an_added_file_are_named(packed: Path, tmp_path: Path) -> None:
    """The bundle is complete, and holds nothing that the statement does not know."""
    gone = rewritten(packed, tmp_path / "a.zip", lambda m: m.pop("report.html"), restate=False)
    with pytest.raises(BundleError, match=r"report\.html: missing"):
        verify.read(gone)
    more = rewritten(packed, tmp_path / "b.zip", lambda m: m.update(x=b""), restate=False)
    with pytest.raises(BundleError, match="x: not in the statement"):
        verify.read(more)
    none = rewritten(packed, tmp_path / "c.zip", lambda m: m.pop(statement.FILE), restate=False)
    with pytest.raises(BundleError, match=r"statement\.json is missing"):
        verify.read(none)


def edit(
    name: str, change: Callable[[dict[str, object]], None]
) -> Callable[[dict[str, bytes]], None]:
    def changed(members: dict[str, bytes]) -> None:
        plain = json.loads(members[name])
        change(plain)
        members[name] = documents.dump(plain)

    return changed


def bomb(members: dict[str, bytes]) -> None:
    """An array that claims ten gigabytes in a few kilobytes of zip."""
    [name] = [name for name in members if name.startswith("outputs/")]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "<f8", "fortran_order": False, "shape": (10 << 27,)}
        )
        made.writestr("v0.npy", head.getvalue() + bytes(1 << 20))
    members[name] = out.getvalue()


def pickled(members: dict[str, bytes]) -> None:
    [name] = [name for name in members if name.startswith("outputs/")]
    out = io.BytesIO()
    np.savez(out, names=np.array(["x"]), v0=np.array([print], dtype=object))
    members[name] = out.getvalue()


# With a statement that fits: somebody packed them on purpose, or a program has a fault.
CONTRADICTIONS = {
    "newer-schema": (edit("facts.json", lambda d: d.update(schema_version=2)), "schema 2"),
    "newer-audit": (edit("audit.json", lambda d: d.update(schema_version=9)), "schema 9"),
    "schema-of-words": (edit("facts.json", lambda d: d.update(schema_version="x")), "broken"),
    "nan": (lambda m: m.update({"audit.json": b'{"a": NaN}'}), "NaN is no JSON"),
    "key-twice": (lambda m: m.update({"facts.json": b'{"a": 1, "a": 2}'}), "twice"),
    "json-bomb": (lambda m: m.update({"facts.json": b"[" * 10**6}), "it is no JSON"),
    "long-number": (lambda m: m.update({"facts.json": b'{"a":' + b"1" * 10**5 + b"}"}), "no JSON"),
    "no-object": (lambda m: m.update({"facts.json": b"[]"}), "no JSON object"),
    "not-utf-8": (lambda m: m.update({"facts.json": b'{"a": "\xff"}'}), "it is no JSON"),
    "other-plan": (edit("plan.json", lambda d: d.update(cells=[])), "not the plan"),
    "unknown-key": (edit("audit.json", lambda d: d.update(x=1)), "the audit is broken"),
    "other-lab": (lambda m: m.update({"labs/double/tf2.py": b""}), "tells of"),
    "no-lab": (lambda m: m.pop("labs/double/tf2.py"), "tells of"),
    "broken-crate": (lambda m: m.update({crate.FILE: b'{"@graph": 3}'}), "crate describes"),
    "array-bomb": (bomb, "not as large as it claims"),
    "pickle": (pickled, "broken|claims"),
    "no-outputs": (lambda m: [m.pop(n) for n in list(m) if n.startswith("outputs/")], "missing"),
    "more-outputs": (lambda m: m.update({"outputs/x.npz": b""}), "no cell"),
}  # fmt: skip


@pytest.mark.parametrize("fixture", CONTRADICTIONS)
def test_what_contradicts_itself_is_refused(packed: Path, tmp_path: Path, fixture: str) -> None:
    """Hashes that fit are not enough: the files must tell one story, and be what they claim."""
    change, said = CONTRADICTIONS[fixture]
    path = rewritten(packed, tmp_path / "a.zip", change, restate=True)
    with pytest.raises(BundleError, match=said):
        verify.read(path)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=300), name=st.sampled_from(["facts.json", "audit.json", crate.FILE]))
def test_any_bytes_for_a_document_are_refused(
    packed: Path, tmp_path: Path, data: bytes, name: str
) -> None:
    """No content of a document gives a traceback."""
    path = rewritten(packed, tmp_path / "a.zip", lambda m: m.update({name: data}), restate=True)
    with pytest.raises(BundleError):
        verify.read(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner,
                                                               max_size=2),
    max_leaves=3,
)  # fmt: skip


def nodes(value: object) -> list[tuple[object, object]]:
    """Every place (container, key) in a JSON document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[object, object]] = []
    for key, inner in list(pairs):
        found.append((value, key))
        found += nodes(inner) if isinstance(inner, dict | list) else []
    return found


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(data=st.data(), name=st.sampled_from(["facts.json", "audit.json", crate.FILE]))
def test_any_value_anywhere_is_refused_or_understood(
    packed: Path, tmp_path: Path, data: st.DataObject, name: str
) -> None:
    """One value of a document is something else: a refusal, or a bundle that can be compared."""

    def change(members: dict[str, bytes]) -> None:
        plain = json.loads(members[name])
        container, key = data.draw(st.sampled_from(nodes(plain)))
        container[key] = data.draw(JSON)
        members[name] = documents.dump(plain)
        if name == "audit.json" and isinstance(plain.get("cells"), list):
            with contextlib.suppress(KeyError, TypeError):
                members["plan.json"] = documents.dump(bundle.plan_of(plain))
        if name != crate.FILE:
            told = json.loads(members[crate.FILE])
            for one in told["@graph"]:
                if one["@id"] in members and "sha256" in one:
                    one["sha256"] = statement.sha256(members[one["@id"]])
            members[crate.FILE] = documents.dump(told)

    path = rewritten(packed, tmp_path / "a.zip", change, restate=True)
    good = verify.read(packed)
    try:
        found = verify.read(path)
    except BundleError:
        return
    outlook.verified(found)
    compared = diff(good, found)
    outlook.compared(compared, everything=True)
    outlook.to_html(compared)
    outlook.to_json(compared)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, 2000), flip=st.integers(1, 255))
def test_damaged_outputs_are_refused(packed: Path, at: int, flip: int) -> None:
    """A file of outputs is held against the digest in its own name, whatever its bytes."""
    members = archive.unpack(packed)
    [name] = [name for name in members if name.startswith("outputs/")]
    good = arrays.from_bytes(members[name], name.removeprefix("outputs/"))
    content = bytearray(members[name])
    content[at % len(content)] ^= flip
    members[name] = bytes(content)
    try:
        found = verify.outputs_of(members, name.removeprefix("outputs/"))
    except BundleError:
        return
    assert found.keys() == good.keys()  # a byte that carries no value, such as a date


def test_names_of_outputs_are_looked_at_before_they_are_listed() -> None:
    """A million names that are numbers are 2 kB in a file and 60 MB as Python's strings."""
    made = io.BytesIO()
    np.savez_compressed(made, names=np.zeros(1 << 20, np.float16), v0=np.zeros(1))
    tracemalloc.start()
    with pytest.raises(BundleError, match="broken"):
        verify.outputs_of({"outputs/x.npz": made.getvalue()}, "x.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_the_digest_is_of_the_bytes_that_were_checked(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is replaced while it is verified is not told as verified."""
    path = tmp_path / "audit.zip"
    path.write_bytes(packed.read_bytes())
    check = statement.check

    def replaced(members: archive.Members) -> None:
        path.write_bytes(b"another")
        check(members)

    monkeypatch.setattr(statement, "check", replaced)
    assert verify.read(path).digest == statement.sha256(packed.read_bytes())


def test_a_signature_is_checked_against_the_key(
    audited: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    """Signed and right; signed by somebody else; changed and stated anew after it was signed."""
    private, public = keys
    path = tmp_path / "signed.zip"
    evidence = gather(audited / "audit", audited / "project")
    bundle.write(path, evidence, key=private, progress=QUIET)
    found = verify.read(path, key=public)
    assert found.trusted
    assert found.signed_by
    _, stranger = pem(ed25519.Ed25519PrivateKey.generate(), tmp_path, "stranger")
    with pytest.raises(BundleError, match="not one of this key"):
        verify.read(path, key=stranger)

    def change(members: dict[str, bytes]) -> None:
        members["report.html"] += b" "

    forged = rewritten(path, tmp_path / "forged.zip", change, restate=True)
    with pytest.raises(BundleError, match="signed statement is not"):
        verify.read(forged)


def test_a_key_demands_a_signature(packed: Path, tmp_path: Path) -> None:
    """Unsigned is refused as soon as a key is given; a private key or a photo is no public key."""
    private, public = pem(ed25519.Ed25519PrivateKey.generate(), tmp_path, "mine")
    with pytest.raises(BundleError, match="not signed"):
        verify.read(packed, key=public)
    for wrong in (private, packed, tmp_path / "nothing.pem"):
        with pytest.raises(UsageError):
            verify.read(packed, key=wrong)


@pytest.mark.parametrize(
    "content",
    [b"{}", b"[]", b'{"payload": 1, "payloadType": "x", "signatures": []}',
     b'{"payload": "eA==", "payloadType": "x", "signatures": [{"sig": "!", "keyid": "a"}]}',
     b'{"payload": "eA==", "payloadType": "x", "signatures": [3]}'],
)  # fmt: skip
def test_a_broken_envelope_is_refused(packed: Path, tmp_path: Path, content: bytes) -> None:
    """Whatever stands in the place of the signature."""

    def change(members: dict[str, bytes]) -> None:
        members[statement.ENVELOPE] = content

    path = rewritten(packed, tmp_path / "a.zip", change, restate=False)
    with pytest.raises(BundleError):
        verify.read(path)


def test_a_signature_can_be_checked_with_openssl(audited: Path, tmp_path: Path) -> None:
    """No code of ours is needed: the DSSE envelope's bytes, an ed25519 key and openssl."""
    private, public = pem(ed25519.Ed25519PrivateKey.generate(), tmp_path, "mine")
    members = {statement.FILE: b'{"x": 1}'}
    made = signing.envelope(members[statement.FILE], signing.signer(private))
    plain = json.loads(made)
    import base64  # noqa: PLC0415

    kind, body = plain["payloadType"].encode(), base64.b64decode(plain["payload"])
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
    (tmp_path / "signed").write_bytes(signed)
    (tmp_path / "sig").write_bytes(base64.b64decode(plain["signatures"][0]["sig"]))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin",
               "-in", tmp_path / "signed", "-sigfile", tmp_path / "sig"]  # fmt: skip
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_a_changed_project_is_not_packed(audited: Path) -> None:
    """The bundle would tell of other files than those that ran."""
    lab = audited / "project/labs/double/pytorch.py"
    before = lab.read_text()
    lab.write_text(before + "# changed\n")
    try:
        with pytest.raises(BundleError, match="lab double has changed"):
            gather(audited / "audit", audited / "project")
    finally:
        lab.write_text(before)


def test_another_machine_cannot_testify(audited: Path, tmp_path: Path) -> None:
    """What is hashed and asked while packing is of the machine that packs, so it must be the same.

    The commit is the audited one, whatever has been committed since.
    """
    document = json.loads((audited / "audit/audit.json").read_bytes())
    document["facts"]["project"] = {"commit": "f" * 40, "dirty": False, "changed": [], "why": ""}
    shutil.copytree(audited / "audit", tmp_path / "audit")
    (tmp_path / "audit/audit.json").write_text(json.dumps(document))
    evidence = gather(tmp_path / "audit", audited / "project")
    bundle.write(tmp_path / "a.zip", evidence, key=None, progress=QUIET)
    assert verify.read(tmp_path / "a.zip").facts["project"]["commit"] == "f" * 40
    document["facts"]["host"]["cpu"] = "Another CPU"
    (tmp_path / "audit/audit.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match="audited on Another CPU"):
        gather(tmp_path / "audit", audited / "project")


def test_a_folder_without_an_audit_is_told(tmp_path: Path) -> None:
    """The message says which command makes one."""
    with pytest.raises(BundleError, match="paritylab audit"):
        gather(tmp_path, tmp_path)


@given(text=st.text())
def test_documents_come_back(text: str) -> None:
    """JSON as it is written is JSON as it is read, whatever the text."""
    clean = tidy(text)
    assert documents.load(documents.dump({"a": clean}), where="x") == {"a": clean}
