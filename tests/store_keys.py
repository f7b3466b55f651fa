"""Keys to stores, made up: a server on loopback takes any, and one that writes has to have some."""

import json
from pathlib import Path

S3_KEYS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def store_keys(folder: Path) -> dict[str, str]:
    """Variables of the environment by which S3's and Google's clients find keys.

    Args:
        folder: Where a file for Google's is put.
    """
    path = folder / "service_account.json"
    path.write_text(json.dumps(_service_account()))
    return {**S3_KEYS, "GOOGLE_APPLICATION_CREDENTIALS": str(path)}


def _service_account() -> dict[str, str]:
    """Google's client signs tokens with such a key by itself: no server is asked for one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "somebody@project.iam.gserviceaccount.com",
        "token_uri": "http://127.0.0.1:1/token",
    }
