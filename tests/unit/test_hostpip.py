from paritylab import hostpip

LISTING = """\
:env:.find-links='/from/variable /and/more'
global.cert='/etc/certs.pem'
global.extra-index-url='https://user:secret@mirror.example/simple'
global.find-links='/from/file'
freeze.timeout='10'
install.index-url='https://mirror.example/simple'
"""


def test_variables_win_over_files() -> None:
    """pip's own order: environment, command's section, global section."""
    found = hostpip.parse_settings(LISTING)
    assert found["find-links"] == "/from/variable /and/more"
    assert found["index-url"] == "https://mirror.example/simple"
    assert "timeout" not in found


def test_pips_settings_become_uvs() -> None:
    """Mirrors, certificates and folders of wheels that pip knows need not be told to uv again."""
    found = hostpip.uv_environment(hostpip.parse_settings(LISTING), ["https://extra.example"])
    assert found["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert found["UV_FIND_LINKS"] == "/from/variable,/and/more"
    assert found["UV_EXTRA_INDEX_URL"] == "https://extra.example"
    assert found["SSL_CERT_FILE"] == "/etc/certs.pem"
    assert hostpip.uv_flags({}) == []
    assert hostpip.uv_flags({"no-index": "true"}) == ["--no-index"]


def test_uvs_own_settings_do_not_leak_in(monkeypatch) -> None:
    """Two machines with the same pip settings solve alike."""
    monkeypatch.setenv("UV_PRERELEASE", "allow")
    assert "UV_PRERELEASE" not in hostpip.uv_environment({})
