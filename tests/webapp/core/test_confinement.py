"""What web and workers may read: themselves, the system and their data, and none of what people keep on the machine."""

from __future__ import annotations

import sys
from pathlib import Path

from webapp.core import confinement
from webapp.core.confinement import is_readable


def test_people_s_files_and_mounted_ones_are_none_of_their_business(settings):
    for path in (
        "/home/alice/.ssh/id_ed25519",
        "/root/.ssh/id_rsa",
        "/mnt/archive/1.svs",
        "/srv/www",
        "/var/mail/root",
    ):
        assert not is_readable(Path(path)), path
    for path in (settings.BASE_DIR / "manage.py", settings.DATA_DIR, sys.executable, "/etc/resolv.conf", "/usr/lib"):
        assert is_readable(Path(path)), path


def test_what_cannot_be_looked_at_stops_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "-----BEGIN CERTIFICATE-----" + "x" * 5000)
    monkeypatch.setenv("EMPTY_FILE", "")
    monkeypatch.setenv("HOME", "/proc/1/root/nobody")
    assert is_readable(Path("/usr/lib")) and not is_readable(Path("/home/alice"))


def test_a_watched_folder_is_read(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("webapp.core.confinement._HIDDEN", {tmp_path.parts[1]})
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp/nowhere")
    settings.DATA_DIR = tmp_path / "data"
    assert not is_readable(tmp_path / "share" / "1.svs")
    (tmp_path / "share").mkdir()
    settings.WATCH_FOLDER = str(tmp_path / "share")
    assert is_readable(tmp_path / "share" / "1.svs")


def test_the_file_of_groups_is_read_at_each_sign_in(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(confinement.tempfile, "gettempdir", lambda: "/nowhere")
    settings.OIDC_GROUPS = str(tmp_path / "groups.toml")
    (tmp_path / "groups.toml").touch()
    assert Path(settings.OIDC_GROUPS) in confinement._readable()
