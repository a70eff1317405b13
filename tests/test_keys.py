"""Secrets are the same whenever they are derived, and tell nothing about each other."""

from __future__ import annotations

import ssl
from datetime import timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from hub.keys import Z85, Keys, z85
from tests.builders import HUB_KEY, NOW

KEYS = Keys(HUB_KEY, "cluster-abc123/1")


def test_the_same_question_always_has_the_same_answer():
    again = Keys(HUB_KEY, "cluster-abc123/1")
    assert KEYS.raw("dask") == again.raw("dask")
    assert KEYS.token("dask") == again.token("dask")
    assert KEYS.curve("dask") == again.curve("dask")
    assert KEYS.tls("dask", NOW) == again.tls("dask", NOW)


def test_another_key_workspace_life_or_purpose_gives_another_secret():
    secrets = {
        KEYS.token("dask"),
        KEYS.token("spark"),
        Keys(b"j" * 32, "cluster-abc123/1").token("dask"),
        Keys(HUB_KEY, "cluster-abc124/1").token("dask"),
        Keys(HUB_KEY, "cluster-abc123/2").token("dask"),
    }
    assert len(secrets) == 5


def test_a_token_is_safe_in_headers_and_cookies():
    token = KEYS.token("dask")
    assert len(token) == 43
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_keys_do_not_show_the_hub_key_when_printed():
    assert "kkkk" not in repr(KEYS)


def test_z85_encodes_the_example_of_its_rfc():
    assert z85(bytes([0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B])) == "HelloWorld"


@given(st.binary(min_size=4, max_size=32).filter(lambda data: len(data) % 4 == 0))
def test_z85_can_be_decoded(data):
    text = z85(data)
    words = [text[start : start + 5] for start in range(0, len(text), 5)]
    numbers = [
        sum(Z85.index(letter) * 85**power for power, letter in enumerate(reversed(word))) for word in words
    ]
    assert b"".join(number.to_bytes(4, "big") for number in numbers) == data


def test_a_curve_pair_belongs_together():
    pair = KEYS.curve("ipyparallel")
    private = X25519PrivateKey.from_private_bytes(KEYS.raw("ipyparallel"))
    assert pair.public == z85(private.public_key().public_bytes_raw())
    assert pair.secret == z85(KEYS.raw("ipyparallel"))
    assert (len(pair.public), len(pair.secret)) == (40, 40)


def test_the_certificate_is_signed_by_the_authority_and_fits_its_key(tmp_path):
    tls = KEYS.tls("dask", NOW)
    authority = x509.load_pem_x509_certificate(tls.authority.encode())
    certificate = x509.load_pem_x509_certificate(tls.certificate.encode())
    certificate.verify_directly_issued_by(authority)
    authority.verify_directly_issued_by(authority)
    key = load_pem_private_key(tls.key.encode(), None)
    assert key.public_key() == certificate.public_key()
    assert authority.public_key() != certificate.public_key()
    assert certificate.not_valid_before_utc == NOW - timedelta(days=1)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=3650)
    assert authority.serial_number != certificate.serial_number
    # OpenSSL takes them for both ends of a connection.
    for name, text in (("authority", tls.authority), ("certificate", tls.certificate), ("key", tls.key)):
        (tmp_path / name).write_text(text)
    for purpose in (ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH):
        here = ssl.create_default_context(purpose, cafile=tmp_path / "authority")
        here.load_cert_chain(tmp_path / "certificate", tmp_path / "key")


def test_certificates_of_two_purposes_have_nothing_in_common():
    one, other = KEYS.tls("dask", NOW), KEYS.tls("x", NOW)
    assert all(
        a != b for a, b in pairwise((one.authority, other.authority, one.key, other.key, one.certificate))
    )
