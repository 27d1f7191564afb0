"""Self-signed TLS certificates, as service nodes and seed nodes have them."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, both as PEM text."""

    certificate_pem: str
    key_pem: str = field(repr=False)

    @classmethod
    def generate(cls, ip: str) -> Certificate:
        """A new P-256 key with a certificate for `localhost` and one address, valid for ten years."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(ip))]),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        return cls(
            certificate.public_bytes(serialization.Encoding.PEM).decode(),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode(),
        )

    @property
    def sha256(self) -> str:
        """The fingerprint of the certificate, 64 hex digits."""
        return x509.load_pem_x509_certificate(self.certificate_pem.encode()).fingerprint(hashes.SHA256()).hex()

    def server_context(self) -> ssl.SSLContext:
        """A TLS context that presents this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # The ssl module reads keys from files only; this one lives as short as it can, readable by us alone.
        descriptor, path = tempfile.mkstemp()
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(self.certificate_pem + self.key_pem)
            context.load_cert_chain(path)
        finally:
            Path(path).unlink()
        return context
