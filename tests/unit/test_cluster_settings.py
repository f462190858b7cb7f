"""cluster.settings and cluster.schedulers: what cluster.toml says, and who can be spoken to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import locally, many_cells, options, told
from distributed import LocalCluster
from distributed.security import Security as Tls

from paritylab.cli.elsewhere import elsewhere
from paritylab.cluster.cells import open_desk, run_cells
from paritylab.cluster.schedulers import open_scheduler
from paritylab.cluster.settings import ClusterSettings, read
from paritylab.errors import CatalogError, UsageError
from paritylab.runner import Settings

SECURITY = "[security]\nca = 'ca.pem'\ncert = 'me.pem'\nkey = 'me.key'\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file of another name, elsewhere than the project and the current directory."""
    (tmp_path / "site").mkdir()
    return tmp_path / "site/mine.toml"


@pytest.fixture
def encrypted(file: Path) -> Iterator[str]:
    """The address of a scheduler with one worker that speak TLS; their PEM files are there."""
    tls = Tls.temporary()
    names = {"ca.pem": tls.tls_ca_file, "me.pem": tls.tls_client_cert, "me.key": tls.tls_client_key}
    for name, text in names.items():
        (file.parent / name).write_text(text)
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tls://", security=tls,
        dashboard_address="127.0.0.1:0", memory_limit=0, silence_logs=50,
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


def test_cells_run_over_tls_with_the_certificates_beside_the_settings(
    project: Path, file: Path, encrypted: str
) -> None:
    """A scheduler that speaks nothing else takes part, wherever the command was typed."""
    file.write_text(SECURITY)
    chosen = many_cells(project, 1)
    assert encrypted.startswith("tls://")
    with open_desk(encrypted, chosen, options(project), file=file) as desk:
        assert told(run_cells(chosen, desk, Settings())) == told(locally(chosen))


@pytest.mark.parametrize(
    ("address", "text", "fix"),
    [
        ("tls://10.0.0.1:8786", "", "write ca, cert and key"),
        ("tcp://10.0.0.1:8786", SECURITY, "--cluster tls://10.0.0.1:8786"),
    ],
)
def test_an_address_and_settings_that_do_not_fit_are_told(
    file: Path, address: str, text: str, fix: str
) -> None:
    """TLS on one side alone is a mistake in the settings, no scheduler that does not answer."""
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        open_scheduler(address, read(file, file.parent))
    for word in (address, "[security]", str(file), fix):
        assert word in str(caught.value)


def test_messages_name_the_settings_file_that_was_given(file: Path) -> None:
    """Whoever passes --cluster-settings is not sent to the cluster.toml of the project."""
    file.write_text(SECURITY)
    with pytest.raises(UsageError) as missing:
        open_scheduler("tls://127.0.0.1:9", read(file, file.parent)).connect()
    assert missing.value.what == f"{file.parent}/ca.pem is no file"
    with pytest.raises(UsageError) as table:
        open_scheduler("slurm", read(file, file.parent))
    assert {missing.value.where, table.value.where} == {f"{file}: security", str(file)}


@pytest.mark.parametrize("folder", ["images", "./images", "~/images", ""])
def test_a_folder_of_images_is_the_same_on_every_host(file: Path, folder: str) -> None:
    """Hosts have another current directory and perhaps another home."""
    file.write_text(f"[images]\nfolder = '{folder}'\n")
    with pytest.raises(CatalogError, match="absolute path") as caught:
        read(file, file.parent)
    assert caught.value.where == f"{file}: images.folder"


def test_a_cluster_without_a_name_is_refused() -> None:
    """`--cluster "$CLUSTER"` where it is not set: the matrix must not run here instead."""
    where = elsewhere("", None)
    assert where
    with pytest.raises(UsageError, match="is no cluster"):
        open_scheduler(where.cluster, ClusterSettings())
    with pytest.raises(UsageError, match="--jobs is for this machine"):
        elsewhere("", None, jobs=2)
