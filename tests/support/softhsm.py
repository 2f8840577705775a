"""A PKCS#11 token in software: SoftHSM from Debian's packages, unpacked without installing anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = ("softhsm2", "libsofthsm2")
PIN = "1234"
LABEL = "ceremony"


def find_softhsm(folder: Path) -> tuple[Path, Path] | None:
    """The module and its tool: installed on this machine, or fetched into the folder; None where neither can be."""
    installed = shutil.which("softhsm2-util")
    modules = [*Path("/usr/lib").rglob("libsofthsm2.so")]
    if installed and modules:
        return modules[0], Path(installed)
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    if not [*folder.rglob("libsofthsm2.so")] and not _fetch(folder):
        return None
    return next(folder.rglob("libsofthsm2.so")), next(folder.rglob("softhsm2-util"))


def make_token(folder: Path, module: Path, tool: Path) -> None:
    """A token with one P-256 key of id 2; PKCS#11 programs of this process find it from now on."""
    (folder / "tokens").mkdir(parents=True)
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    os.environ |= {"SOFTHSM2_CONF": str(config), "PYKCS11LIB": str(module)}
    pins = ("--so-pin", PIN, "--pin", PIN)
    libraries = {"LD_LIBRARY_PATH": str(module.parent)}
    command = [str(tool), "--module", str(module), "--init-token", "--free", "--label", LABEL, *pins]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | libraries)
    _make_key(module)


def _make_key(module: Path) -> None:
    import pkcs11  # noqa: PLC0415 - loads the module only where there is one
    from pkcs11.util.ec import encode_named_curve_parameters  # noqa: PLC0415

    token = pkcs11.lib(str(module)).get_token(token_label=LABEL)
    with token.open(rw=True, user_pin=PIN) as session:
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC,
            {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")},
            local=True,
        )
        parameters.generate_keypair(id=b"\x02", label="root", store=True)


def _fetch(folder: Path) -> bool:
    fetched = subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=False, capture_output=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package.name, "."], cwd=folder, check=True, capture_output=True)
    return fetched.returncode == 0 and bool([*folder.rglob("libsofthsm2.so")])
